/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * MPTCP: a process has a socket that the kernel speaks no TCP with; its subflows are TCP sockets that no
 * process has.
 */
#ifndef TCPWHY_MPTCP_H
#define TCPWHY_MPTCP_H

#include "hooks.h"

/* The socket that a process has of a connection over MPTCP; its subflows are TCP sockets. */
static __always_inline bool is_mptcp_sock(const struct sock *sk)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return (family == AF_INET || family == AF_INET6) &&
	       BPF_CORE_READ(sk, sk_protocol) == IPPROTO_MPTCP;
}

/* The MPTCP socket whose subflow this is, or 0. */
static __always_inline u64 mptcp_of(const struct tcp_sock *tp)
{
	const struct mptcp_subflow_context *subflow;

	if (!bpf_core_field_exists(struct tcp_sock, is_mptcp) ||
	    !BPF_CORE_READ_BITFIELD_PROBED(tp, is_mptcp))
		return 0;
	subflow = BPF_CORE_READ(tp, inet_conn.icsk_ulp_data);
	return subflow ? (u64)BPF_CORE_READ(subflow, conn) : 0;
}

static __always_inline u64 map_seq_of(const struct sk_buff *skb, u32 member)
{
	u64 seq = 0;

	bpf_probe_read_kernel(&seq, sizeof(seq),
			      (const void *)skb + bpf_core_field_offset(struct sk_buff, cb) +
				      member);
	return seq;
}

/* The first packet of a queue, or its last; NULL where it is empty. */
static __always_inline const struct sk_buff *in_queue(const struct sk_buff_head *queue, bool last)
{
	const struct sk_buff *skb = last ? BPF_CORE_READ(queue, prev) : BPF_CORE_READ(queue, next);

	return (const void *)skb == (const void *)queue ? NULL : skb;
}

/* What an MPTCP socket holds for its process: whichever subflow it came on, in order. */
static __noinline __attribute__((unused)) u32 mptcp_unread(const struct sock *sk)
{
	const struct sk_buff_head *queue, *before = NULL;
	const struct sk_buff *first = NULL, *last = NULL;

	if (!bpf_core_type_exists(struct mptcp_skb_cb))
		return 0;
	queue = (const void *)sk + bpf_core_field_offset(struct sock, sk_receive_queue);
	first = in_queue(queue, false);
	last = in_queue(queue, true);
	if (bpf_core_field_exists(struct mptcp_sock, receive_queue)) {
		before = (const void *)sk + bpf_core_field_offset(struct mptcp_sock, receive_queue);
		if (in_queue(before, false))
			first = in_queue(before, false);
		if (!last)
			last = in_queue(before, true);
	}
	if (!first || !last)
		return 0;
	return map_seq_of(last, bpf_core_field_offset(struct mptcp_skb_cb, end_seq)) -
	       map_seq_of(first, bpf_core_field_offset(struct mptcp_skb_cb, map_seq));
}

#endif
