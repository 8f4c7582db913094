// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a connection in TIME_WAIT is sent, where kfree_skb does not name the socket: SYNs that it
 * refuses, and whose the other segments were.
 */
#include "refusal.h"

static __always_inline int ends(void *ctx, const struct sk_buff *skb)
{
	struct brackets *b = leave_function(skb);

	if (b && read_arrays(&b->arrays, &b->after))
		report_refusal(ctx, b, skb, false, SCRATCH_TIMEWAIT, NULL);
	return 0;
}

ON_ENTRY(tcp_timewait_state_process, timewait_enters, struct inet_timewait_sock *tw,
	 struct sk_buff *skb, const struct tcphdr *th)
{
	struct brackets *b = this_cpu_brackets();

	remember_checked(skb, tw);
	if (b && MEMBER_BITS(th, syn))
		enter_function(b, (u64)tw, MEMBER(tw, __tw_common.skc_net.net), skb);
	return 0;
}

ON_EXIT(tcp_timewait_state_process, timewait_leaves, struct inet_timewait_sock *tw,
	struct sk_buff *skb)
{
	return ends(ctx, EXITING(skb, (void *)entered(false)));
}
