// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The fate of SYNs and third ACKs from entry and exit of the functions that decide it. They run with
 * softirqs off: nothing else moves this CPU's counters between the two.
 */
#include "refusal.h"

static __always_inline int enter(const struct sock *sk, const struct sk_buff *skb)
{
	struct brackets *b = this_cpu_brackets();

	if (!b)
		return 0;
	/* tcp_conn_request() inside tcp_v4_conn_request(): the outer one has the counters. */
	if (b->skb[0] == (u64)skb && b->open) {
		b->open++;
		return 0;
	}
	b->sk_drops = MEMBER(sk, sk_drops.counter);
	enter_function(b, (u64)sk, MEMBER(sk, __sk_common.skc_net.net), skb);
	return 0;
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
	struct brackets *b = leave_function(skb);

	if (!b)
		return 0;
	if ((u32)MEMBER(sk, sk_drops.counter) == b->sk_drops &&
	    !moved_since(b, MIB_SLOT_TCP_REQ_Q_FULL_DO_COOKIES) &&
	    !moved_since(b, MIB_SLOT_TCP_FAST_OPEN_PASSIVE_FAIL) &&
	    !moved_since(b, MIB_SLOT_TCP_FAST_OPEN_LISTEN_OVERFLOW))
		return 0;
	if (read_arrays(&b->arrays, &b->after))
		report_refusal(ctx, b, skb, false, SCRATCH_SYN, sk);
	return 0;
}

/* A handshake that completes gives a new socket, not the listener and not none. */
static __always_inline int request_ends(void *ctx, const struct sock *sk, const struct sk_buff *skb,
					u64 result)
{
	struct brackets *b = leave_function(skb);

	if (b && (!result || result == (u64)sk) && read_arrays(&b->arrays, &b->after))
		report_refusal(ctx, b, skb, false, SCRATCH_REQUEST, sk);
	return 0;
}

/* A child that is not made is a drop of the listener; a cookie that fails is none, and is answered. */
static __always_inline int cookie_ends(void *ctx, const struct sock *sk, const struct sk_buff *skb)
{
	struct brackets *b = leave_function(skb);

	if (!b)
		return 0;
	if (moved_since(b, MIB_SLOT_SYNCOOKIES_FAILED))
		cookie_failed(skb);
	else if ((u32)MEMBER(sk, sk_drops.counter) != b->sk_drops &&
		 read_arrays(&b->arrays, &b->after))
		report_refusal(ctx, b, skb, false, SCRATCH_REQUEST, sk);
	return 0;
}

ON_ENTRY(tcp_v4_conn_request, v4_syn_enters, struct sock *sk, struct sk_buff *skb)
{
	return enter(sk, skb);
}

ON_EXIT(tcp_v4_conn_request, v4_syn_leaves, struct sock *sk, struct sk_buff *skb)
{
	return syn_ends(ctx, EXITING(sk, (void *)entered(true)),
			EXITING(skb, (void *)entered(false)));
}

/* IPv6 and MPTCP listeners come only here. */
ON_ENTRY(tcp_conn_request, syn_enters, void *rsk_ops, void *af_ops, struct sock *sk,
	 struct sk_buff *skb)
{
	return enter(sk, skb);
}

ON_EXIT(tcp_conn_request, syn_leaves, void *rsk_ops, void *af_ops, struct sock *sk,
	struct sk_buff *skb)
{
	return syn_ends(ctx, EXITING(sk, (void *)entered(true)),
			EXITING(skb, (void *)entered(false)));
}

ON_ENTRY(tcp_check_req, request_enters, struct sock *sk, struct sk_buff *skb)
{
	return enter(sk, skb);
}

/* It got another parameter in Linux 6.14; userspace loads the one that fits. */
ON_EXIT(tcp_check_req, request_leaves, struct sock *sk, struct sk_buff *skb, void *req,
	u64 fastopen, void *stolen, void *result)
{
	return request_ends(ctx, EXITING(sk, (void *)entered(true)),
			    EXITING(skb, (void *)entered(false)), (u64)RESULT(result));
}

ON_EXIT(tcp_check_req, request_leaves_with_reason, struct sock *sk, struct sk_buff *skb, void *req,
	u64 fastopen, void *stolen, void *reason, void *result)
{
	return request_ends(ctx, EXITING(sk, (void *)entered(true)),
			    EXITING(skb, (void *)entered(false)), (u64)RESULT(result));
}

/* The end of a handshake that began with a SYN cookie: the listener gets it. */
ON_ENTRY(cookie_v4_check, v4_cookie_enters, struct sock *sk, struct sk_buff *skb)
{
	return enter(sk, skb);
}

ON_EXIT(cookie_v4_check, v4_cookie_leaves, struct sock *sk, struct sk_buff *skb)
{
	return cookie_ends(ctx, EXITING(sk, (void *)entered(true)),
			   EXITING(skb, (void *)entered(false)));
}

ON_ENTRY(cookie_v6_check, v6_cookie_enters, struct sock *sk, struct sk_buff *skb)
{
	return enter(sk, skb);
}

ON_EXIT(cookie_v6_check, v6_cookie_leaves, struct sock *sk, struct sk_buff *skb)
{
	return cookie_ends(ctx, EXITING(sk, (void *)entered(true)),
			   EXITING(skb, (void *)entered(false)));
}
