// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* ICMP errors as TCP is told of them. */
#include "hooks.h"
#include "refused_half_open.h"

/* The error that is handled on this CPU. */
static __always_inline __attribute__((unused)) void *handled(void)
{
	struct brackets *b = this_cpu_brackets();
	u64 skb = 0;

#pragma unroll
	for (u32 i = 0; b && i < BRACKETS; i++)
		skb |= b->skb[i];
	return (void *)skb;
}

static __always_inline int leaves(void *ctx, const struct sk_buff *skb)
{
	struct brackets *b = skb ? end_bracket(skb) : NULL;

	if (b)
		error_ends(ctx, b, skb);
	return 0;
}

ON_ENTRY(tcp_v4_err, v4_error, struct sk_buff *skb)
{
	return error_begins(skb);
}

ON_EXIT(tcp_v4_err, v4_error_leaves, struct sk_buff *skb)
{
	return leaves(ctx, EXITING(skb, handled()));
}

ON_ENTRY(tcp_v6_err, v6_error, struct sk_buff *skb)
{
	return error_begins(skb);
}

ON_EXIT(tcp_v6_err, v6_error_leaves, struct sk_buff *skb)
{
	return leaves(ctx, EXITING(skb, handled()));
}
