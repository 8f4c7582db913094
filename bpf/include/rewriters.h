/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The cgroup programs of a socket: those that may have changed what it tells of its peer, and others. */
#ifndef TCPWHY_REWRITERS_H
#define TCPWHY_REWRITERS_H

#include "kernel.h"
#include "wire.gen.h"

/* More are not counted. */
#define MAX_REWRITERS 8

static __always_inline const struct cgroup *root_cgroup(void)
{
	const struct task_struct *task = (void *)bpf_get_current_task();

	return &BPF_CORE_READ(task, cgroups, dfl_cgrp, root)->cgrp;
}

/* The one whose programs run for the socket: where it was opened, whoever has it now. */
static __always_inline const struct cgroup *sock_cgroup(const struct sock *sk)
{
	const struct sock_cgroup_data___flags *flags = (const void *)&sk->sk_cgrp_data;
	u64 cgroup;

	if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup)) {
		cgroup = (u64)BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	} else {
		cgroup = BPF_CORE_READ(flags, val);
		cgroup = cgroup & 1 ? 0 : cgroup & ~3ULL;
	}
	return cgroup ? (const void *)cgroup : root_cgroup();
}

/* A v4-mapped peer of an AF_INET6 socket is for the programs of IPv6. */
static __always_inline u32 rewriters_place(const struct sock *sk)
{
	bool is_ipv6 = BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6;

	if (!bpf_core_enum_value_exists(enum cgroup_bpf_attach_type, CGROUP_INET4_GETPEERNAME))
		return is_ipv6 ? BPF_CGROUP_INET6_GETPEERNAME : BPF_CGROUP_INET4_GETPEERNAME;
	return is_ipv6 ? bpf_core_enum_value(enum cgroup_bpf_attach_type, CGROUP_INET6_GETPEERNAME)
		       : bpf_core_enum_value(enum cgroup_bpf_attach_type, CGROUP_INET4_GETPEERNAME);
}

static __always_inline void fill_program(struct wire_program *w, const struct bpf_prog *program)
{
	const struct bpf_prog_aux *aux = BPF_CORE_READ(program, aux);

	w->id = BPF_CORE_READ(aux, id);
	BPF_CORE_READ_INTO(&w->program, aux, name);
}

/* The programs in effect for a cgroup, of its ancestors too: how many, and the first three. */
static __always_inline u32 programs_of(const struct cgroup *cgroup, u32 place,
				       struct wire_program *first, struct wire_program *second,
				       struct wire_program *third)
{
	const struct bpf_prog_array *programs = NULL;
	const struct bpf_prog_array_item *item;
	const struct bpf_prog *program;

	if (!bpf_core_field_exists(cgroup->bpf.effective))
		return 0;
	bpf_probe_read_kernel(&programs, sizeof(programs), &cgroup->bpf.effective[0] + place);
	if (!programs)
		return 0;
	item = &programs->items[0];
	for (u32 i = 0; i < MAX_REWRITERS; i++) {
		program = BPF_CORE_READ(item, prog);
		if (!program)
			return i;
		if (i == 0)
			fill_program(first, program);
		if (i == 1)
			fill_program(second, program);
		if (i == 2)
			fill_program(third, program);
		item = (const void *)item + bpf_core_type_size(struct bpf_prog_array_item);
	}
	return MAX_REWRITERS;
}

static __always_inline void fill_rewriters(struct wire_peer_name *w, const struct sock *sk)
{
	const struct cgroup *cgroup = sock_cgroup(sk);

	w->cgroup = BPF_CORE_READ(cgroup, kn, id);
	w->programs = programs_of(cgroup, rewriters_place(sk), &w->program, &w->second_program,
				  &w->third_program);
}

#endif
