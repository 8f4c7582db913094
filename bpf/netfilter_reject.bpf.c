// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Rules that reject: the functions of nf_reject_ipv4 and nf_reject_ipv6 that answer a packet before it
 * is dropped. Modules, mostly: loaded with the first rule that rejects.
 */
#include "hooks.h"
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
