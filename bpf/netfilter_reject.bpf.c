// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Rules that reject: the functions of nf_reject_ipv4 and nf_reject_ipv6 that answer a packet before it
 * is dropped. Modules, mostly: loaded with the first rule that rejects.
 * Where functions cannot be hooked, the resets and ICMP errors that leave: a packet that netfilter drops
 * just after it was answered was rejected. And SYNs of others that leave unanswered.
 */
#include "conntrack.h"
#include "hooks.h"
#include "passing.h"
#include "reject.h"

static __always_inline int rejected(const struct sk_buff *skb, u32 answer)
{
	struct last_reject *r = this_cpu_reject();

	if (!r)
		return 0;
	r->skb = (u64)skb;
	r->ktime_ns = bpf_ktime_get_ns();
	r->answer = answer;
	return 0;
}

ON_ENTRY(nf_send_reset, v4_reset_by_rule, struct net *net, struct sock *sk, struct sk_buff *oldskb)
{
	return rejected(oldskb, ANSWER_RESET);
}

ON_ENTRY(nf_send_reset6, v6_reset_by_rule, struct net *net, struct sock *sk, struct sk_buff *oldskb)
{
	return rejected(oldskb, ANSWER_RESET);
}

ON_ENTRY(nf_send_unreach, v4_unreach_by_rule, struct sk_buff *skb_in)
{
	return rejected(skb_in, ANSWER_UNREACHABLE);
}

ON_ENTRY(nf_send_unreach6, v6_unreach_by_rule, struct net *net, struct sk_buff *skb_in)
{
	return rejected(skb_in, ANSWER_UNREACHABLE);
}

static __always_inline void remember_answer(u32 answer, const struct segment *s)
{
	struct last_reject *r = this_cpu_reject();

	if (!r)
		return;
	r->skb = 0;
	r->ktime_ns = bpf_ktime_get_ns();
	r->segment = *s;
	r->answer = answer;
}

/* What a rule answers with belongs to no socket, or to one of the kernel's own, which is never connected. */
static __always_inline bool is_of_connection(const struct sk_buff *skb)
{
	const struct sock *sk = MEMBER(skb, sk);
	u8 state = sk ? MEMBER(sk, __sk_common.skc_state) : TCP_CLOSE;

	if (state == TCP_SYN_SENT)
		track_leaving(skb, sk);
	return state != TCP_CLOSE;
}

static __always_inline bool is_unreachable(const struct sk_buff *skb, u8 type)
{
	return type == (MEMBER(skb, protocol) == bpf_htons(ETH_P_IP) ? ICMP_DEST_UNREACH
								     : ICMPV6_DEST_UNREACH);
}

ON_TRACEPOINT(net_dev_queue, packet_leaves, struct sk_buff *skb)
{
	struct segment s = {};

	if (is_of_connection(skb))
		return 0;
	if (!read_segment(skb, &s)) {
		if (read_quoted(skb, &s) && is_unreachable(skb, s.flags))
			remember_answer(ANSWER_UNREACHABLE, &s);
		return 0;
	}
	if (s.flags & TCP_RST)
		remember_answer(ANSWER_RESET, &s);
	else if ((s.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		passes(ctx, skb, &s);
	return 0;
}
