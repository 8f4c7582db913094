/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a namespace may have, and how much of it there is. */
#ifndef TCPWHY_LIMITS_H
#define TCPWHY_LIMITS_H

#include "hooks.h"
#include "wire.gen.h"

#define HAS_TIMEWAIT_LIMIT \
	bpf_core_field_exists(struct net, ipv4.tcp_death_row.sysctl_max_tw_buckets)

/* As many as may be: the next one is refused. Kernels from 5.17 to 6.0 do not say it here. */
static __always_inline __attribute__((unused)) bool timewait_is_full(const struct net *net)
{
	if (!HAS_TIMEWAIT_LIMIT)
		return false;
	if (bpf_core_field_exists(struct net, ipv4.tcp_death_row.tw_count))
		return MEMBER(net, ipv4.tcp_death_row.tw_count.counter) >=
		       MEMBER(net, ipv4.tcp_death_row.sysctl_max_tw_buckets);
	/* One is the namespace's own. */
	return MEMBER(net, ipv4.tcp_death_row.tw_refcount.refs.counter) - 1 >=
	       MEMBER(net, ipv4.tcp_death_row.sysctl_max_tw_buckets);
}

static __noinline __attribute__((unused)) int fill_limits(struct wire_limits *w,
							  const struct net *net)
{
	if (HAS_TIMEWAIT_LIMIT) {
		w->timewait =
			bpf_core_field_exists(struct net, ipv4.tcp_death_row.tw_count)
				? BPF_CORE_READ(net, ipv4.tcp_death_row.tw_count.counter)
				: BPF_CORE_READ(net, ipv4.tcp_death_row.tw_refcount.refs.counter) -
					  1;
		w->timewait_max = BPF_CORE_READ(net, ipv4.tcp_death_row.sysctl_max_tw_buckets);
	}
	w->fin_timeout = BPF_CORE_READ(net, ipv4.sysctl_tcp_fin_timeout);
	w->syncookies = BPF_CORE_READ_BITFIELD_PROBED(net, ipv4.sysctl_tcp_syncookies);
	w->syn_backlog_max = BPF_CORE_READ(net, ipv4.sysctl_max_syn_backlog);
	return 0;
}

/* Of a full socket. */
static __noinline __attribute__((unused)) int fill_memory(struct wire_memory *w,
							  const struct sock *sk)
{
	const struct proto *prot = BPF_CORE_READ(sk, __sk_common.skc_prot);
	const long *limits = BPF_CORE_READ(prot, sysctl_mem);
	long most = 0;

	bpf_probe_read_kernel(&most, sizeof(most), limits + 2);
	w->pages = BPF_CORE_READ(prot, memory_allocated, counter);
	w->pages_max = most;
	w->send_bytes = BPF_CORE_READ(sk, sk_wmem_queued);
	return 0;
}

#endif
