// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The fate of SYNs and third ACKs from the functions that decide it. They run with softirqs off: nothing
 * else moves this CPU's counters until a SYN is handled, or what should complete a handshake is freed.
 */
#include "handshake.h"

/* Of net.ipv4.tcp_syncookies. */
#define COOKIES_ALWAYS 2

/* What other CPUs may put into a queue meanwhile does not fill it. */
static __always_inline bool has_room(u32 queue, u32 max)
{
	return queue + queued_meanwhile < max;
}

/* On a listener that has room and does nothing unusual no other counters than MIB_READ_SYN can move. */
static __always_inline u32 read_for_syn(const struct sock *sk, const struct net *net)
{
	const struct tcp_sock *tp = trusted_tcp(sk);
	u32 max = MEMBER(sk, sk_max_ack_backlog);

	return tp && has_room(MEMBER(sk, sk_ack_backlog), max) &&
			       has_room(MEMBER(tp, inet_conn.icsk_accept_queue.qlen.counter),
					max) &&
			       !MEMBER(tp, inet_conn.icsk_accept_queue.fastopenq.max_qlen) &&
			       MEMBER_BITS(net, ipv4.sysctl_tcp_syncookies) != COOKIES_ALWAYS
		       ? MIB_READ_SYN
		       : MIB_READ_ALL;
}

/* The same of what completes a handshake. */
static __always_inline u32 read_for_request(const struct sock *sk, const struct net *net)
{
	const struct tcp_sock *tp = trusted_tcp(sk);

	return tp && !MEMBER(tp, inet_conn.icsk_accept_queue.rskq_defer_accept) &&
			       !MEMBER_BITS(net, ipv4.sysctl_tcp_abort_on_overflow)
		       ? MIB_READ_REQUEST
		       : MIB_READ_ALL;
}

/* A bracket around a function that decides what becomes of the packet: one at a time. */
static __always_inline int enter(struct brackets *b, const struct sock *sk,
				 const struct sk_buff *skb, u32 read)
{
	const struct net *net = MEMBER(sk, __sk_common.skc_net.net);

	b->skb[0] = (u64)skb;
	b->sk = (u64)sk;
	b->request = 0;
	b->sk_drops = MEMBER(sk, sk_drops.counter);
	b->read = read;
	b->jiffy = bpf_jiffies64();
	store_pointer(&b->net, net);
	b->open = trusted_arrays(net, MEMBER(skb, protocol) == bpf_htons(ETH_P_IPV6), &b->arrays) &&
		  read_those(read, &b->arrays, &b->before);
	return 0;
}

static __always_inline __attribute__((unused)) u64 entered(bool socket)
{
	struct brackets *b = this_cpu_handshake();

	return !b ? 0 : socket ? b->sk : b->skb[0];
}

static __always_inline bool moved_since(const struct brackets *b, u32 slot)
{
	u32 index = mib_index[slot];
	u64 now = 0;

	if (index == 0xffff)
		return false;
	bpf_probe_read_kernel(&now, sizeof(now), (const void *)(b->arrays.linux_mib + index * 8));
	return now != mib_value(&b->before, slot);
}

/* A SYN that is refused is a drop of the listener; what else is told of one has these counters. */
static __always_inline int syn_ends(void *ctx, const struct sock *sk, const struct sk_buff *skb)
{
	struct brackets *b = leave(skb);

	if (!b)
		return 0;
	if ((u32)MEMBER(sk, sk_drops.counter) == b->sk_drops &&
	    (b->read == MIB_READ_SYN || (!moved_since(b, MIB_SLOT_TCP_REQ_Q_FULL_DO_COOKIES) &&
					 !moved_since(b, MIB_SLOT_TCP_FAST_OPEN_PASSIVE_FAIL) &&
					 !moved_since(b, MIB_SLOT_TCP_FAST_OPEN_LISTEN_OVERFLOW))))
		return 0;
	if (read_after(b))
		report_refusal(ctx, b, skb, false, SCRATCH_SYN, sk);
	return 0;
}

/* A child that is not made is a drop of the listener; a cookie that fails is none, and is answered. */
static __always_inline int cookie_ends(void *ctx, const struct sock *sk, const struct sk_buff *skb)
{
	struct brackets *b = leave(skb);

	if (!b)
		return 0;
	if (moved_since(b, MIB_SLOT_SYNCOOKIES_FAILED))
		cookie_failed(skb);
	else if ((u32)MEMBER(sk, sk_drops.counter) != b->sk_drops && read_after(b))
		report_refusal(ctx, b, skb, false, SCRATCH_REQUEST, sk);
	return 0;
}

/* Listeners of either family, and of MPTCP. */
ON_ENTRY(tcp_conn_request, syn_enters, void *rsk_ops, void *af_ops, struct sock *sk,
	 struct sk_buff *skb)
{
	struct brackets *b = this_cpu_handshake();
	const struct net *net = MEMBER(sk, __sk_common.skc_net.net);

	return b ? enter(b, sk, skb, read_for_syn(sk, net)) : 0;
}

ON_EXIT(tcp_conn_request, syn_leaves, void *rsk_ops, void *af_ops, struct sock *sk,
	struct sk_buff *skb)
{
	return syn_ends(ctx, EXITING(sk, (void *)entered(true)),
			EXITING(skb, (void *)entered(false)));
}

/* What comes of it: skb_drop.bpf.c, or in peace tcp_state.bpf.c. */
ON_ENTRY(tcp_check_req, request_enters, struct sock *sk, struct sk_buff *skb,
	 struct request_sock *req)
{
	struct brackets *b = this_cpu_handshake();
	const struct net *net = MEMBER(sk, __sk_common.skc_net.net);

	if (!b)
		return 0;
	enter(b, sk, skb, read_for_request(sk, net));
	store_pointer(&b->request, req);
	return 0;
}

/* The end of a handshake that began with a SYN cookie: the listener gets it. */
ON_ENTRY(cookie_v4_check, v4_cookie_enters, struct sock *sk, struct sk_buff *skb)
{
	struct brackets *b = this_cpu_handshake();

	return b ? enter(b, sk, skb, MIB_READ_ALL) : 0;
}

ON_EXIT(cookie_v4_check, v4_cookie_leaves, struct sock *sk, struct sk_buff *skb)
{
	return cookie_ends(ctx, EXITING(sk, (void *)entered(true)),
			   EXITING(skb, (void *)entered(false)));
}

ON_ENTRY(cookie_v6_check, v6_cookie_enters, struct sock *sk, struct sk_buff *skb)
{
	struct brackets *b = this_cpu_handshake();

	return b ? enter(b, sk, skb, MIB_READ_ALL) : 0;
}

ON_EXIT(cookie_v6_check, v6_cookie_leaves, struct sock *sk, struct sk_buff *skb)
{
	return cookie_ends(ctx, EXITING(sk, (void *)entered(true)),
			   EXITING(skb, (void *)entered(false)));
}
