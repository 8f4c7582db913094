/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The namespace's counters on this CPU. The kernel adds to its own CPU's copy where it decides, so
 * what moves while it handles one packet says what it decided.
 */
#ifndef TCPWHY_MIB_H
#define TCPWHY_MIB_H

#include "segment.h"

extern struct {
} cpu_offset SEC(".maps");

/*
 * Distance from a per-CPU pointer to this CPU's copy. An element of a per-CPU array is such a copy:
 * its address less the pointer that the map holds is the distance. Needs no symbol of the kernel.
 */
static __always_inline u64 this_cpu_distance(void)
{
	u32 at = bpf_core_field_offset(struct bpf_array, pptrs) / 8, zero = 0;
	struct cpu_offset *o = bpf_map_lookup_elem(&cpu_offset, &zero);
	volatile u64 *own;

	if (!o || at >= 64)
		return 0;
	if (!o->distance) {
		if (bpf_probe_read_kernel(o->map_head, sizeof(o->map_head), &cpu_offset))
			return 0;
		/* Through memory: the verifier allows no arithmetic on the element's address itself. */
		own = &o->distance;
		*own = (u64)o;
		*own = *own - o->map_head[at];
	}
	return o->distance;
}

/* Counters of a namespace as they stand on this CPU; 0 where they cannot be read. */
static __noinline __attribute__((unused)) int read_mib(const struct net *net, bool ipv6,
						       struct mib_snapshot *to)
{
	u64 distance = this_cpu_distance();
	u32 linux_size = bpf_core_type_size(struct linux_mib),
	    tcp_size = bpf_core_type_size(struct tcp_mib);
	u32 no_routes = mib_index[MIB_SLOT_OUT_NO_ROUTES];
	const u8 *ip;

	if (!distance || !net || !to || linux_size > sizeof(to->linux_mib) ||
	    tcp_size > sizeof(to->tcp_mib))
		return 0;
	if (bpf_probe_read_kernel(to->linux_mib, linux_size,
				  (u8 *)BPF_CORE_READ(net, mib.net_statistics) + distance) ||
	    bpf_probe_read_kernel(to->tcp_mib, tcp_size,
				  (u8 *)BPF_CORE_READ(net, mib.tcp_statistics) + distance))
		return 0;
	ip = ipv6 ? (u8 *)BPF_CORE_READ(net, mib.ipv6_statistics)
		  : (u8 *)BPF_CORE_READ(net, mib.ip_statistics);
	return no_routes == 0xffff || !bpf_probe_read_kernel(&to->out_no_routes, sizeof(u64),
							     ip + distance + no_routes * 8);
}

static __always_inline u64 mib_value(const struct mib_snapshot *s, u32 slot)
{
	u32 index = mib_index[slot];

	if (slot == MIB_SLOT_OUT_NO_ROUTES)
		return s->out_no_routes;
	if (slot == MIB_SLOT_ATTEMPT_FAILS || slot == MIB_SLOT_OUT_SEGS ||
	    slot == MIB_SLOT_OUT_RSTS)
		return index < TCP_MIB_CAP ? s->tcp_mib[index] : 0;
	return index < LINUX_MIB_CAP ? s->linux_mib[index] : 0;
}

/*
 * One bit a slot that moved. The caller reads the result from memory: of a value that it was handed
 * the verifier would follow all 2^23 ways to come by it.
 */
static __noinline __attribute__((unused)) void
mib_moved(const struct mib_snapshot *before, const struct mib_snapshot *after, u32 *result)
{
	volatile u32 *moved = result;

	*moved = 0;
	/* One slot after the other, or the compiler keeps all of them on the stack at once. */
#pragma unroll
	for (u32 slot = 0; slot < MIB_SLOTS; slot++)
		*moved |= (u32)(mib_value(after, slot) != mib_value(before, slot)) << slot;
}

static __always_inline void fill_mib(struct wire_mib_delta *w, const struct mib_snapshot *before,
				     const struct mib_snapshot *after, bool mixed)
{
#pragma unroll
	for (u32 slot = 0; slot < MIB_SLOTS; slot++)
		((u32 *)w)[2 * slot + 1] = mib_value(after, slot) - mib_value(before, slot);
	w->mixed = mixed;
}

#endif
