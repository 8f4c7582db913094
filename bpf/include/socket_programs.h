/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose programs see what a socket sends and receives. */
#ifndef TCPWHY_SOCKET_PROGRAMS_H
#define TCPWHY_SOCKET_PROGRAMS_H

#include "pointer.h"
#include "rewriters.h"
#include "sock.h"

static __always_inline bool is_full(const struct sock *sk)
{
	u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	return state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV;
}

/* `rx` is the socket that received it, where the kernel names one; with a stack of its own. */
static __noinline int fill_programs(struct wire_drop *w, const struct sk_buff *skb,
				    const struct sock *rx, u32 reason)
{
	const struct sock *sk = rx ? rx : MEMBER(skb, sk);
	const struct sk_filter *filter;

	if (!sk || !is_full(sk))
		return 0;
	if (!rx)
		fill_owner(&w->sender, (u64)sk);
	if (!IS_REASON(reason, SKB_DROP_REASON_SOCKET_FILTER) &&
	    !IS_REASON(reason, SKB_DROP_REASON_BPF_CGROUP_EGRESS))
		return 0;
	w->cgroup = BPF_CORE_READ(sock_cgroup(sk), kn, id);
	filter = BPF_CORE_READ(sk, sk_filter);
	w->socket_filter = filter != NULL;
	if (filter)
		w->socket_filter_id = BPF_CORE_READ(filter, prog, aux, id);
	return 0;
}

#endif
