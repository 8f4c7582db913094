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
	b->skb[0] = (u64)skb;
	b->net = (u64)sock_net(sk);
	b->open = read_mib((const struct net *)b->net,
			   BPF_CORE_READ(skb, protocol) == bpf_htons(ETH_P_IPV6), &b->before);
	return 0;
}

static __always_inline __attribute__((unused)) const struct sk_buff *entered(void)
{
	struct brackets *b = this_cpu_brackets();

	return b ? (const struct sk_buff *)b->skb[0] : NULL;
}

static __always_inline int leave(void *ctx, const struct sk_buff *skb, u32 slot)
{
	struct brackets *b = this_cpu_brackets();

	if (!b || b->skb[0] != (u64)skb || !b->open || --b->open)
		return 0;
	b->skb[0] = 0;
	if (read_mib((const struct net *)b->net,
		     BPF_CORE_READ(skb, protocol) == bpf_htons(ETH_P_IPV6), &b->after))
		report_refusal(ctx, b, skb, false, slot);
	return 0;
}

ON_ENTRY(tcp_v4_conn_request, v4_syn_enters, struct sock *sk, struct sk_buff *skb)
{
	return enter(sk, skb);
}

ON_EXIT(tcp_v4_conn_request, v4_syn_leaves, struct sock *sk, struct sk_buff *skb)
{
	return leave(ctx, EXITING(skb, entered()), SCRATCH_SYN);
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
	return leave(ctx, EXITING(skb, entered()), SCRATCH_SYN);
}

ON_ENTRY(tcp_check_req, request_enters, struct sock *sk, struct sk_buff *skb)
{
	return enter(sk, skb);
}

ON_EXIT(tcp_check_req, request_leaves, struct sock *sk, struct sk_buff *skb)
{
	return leave(ctx, EXITING(skb, entered()), SCRATCH_REQUEST);
}
