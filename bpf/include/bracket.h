/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A bracket spans one packet from its arrival to its end on this CPU. Packets are handled one after
 * the other, also those that arrived in a batch: what moved since the one before ended is this one's.
 */
#ifndef TCPWHY_BRACKET_H
#define TCPWHY_BRACKET_H

#include "mib.h"
#include "segment.h"

extern struct {
} brackets SEC(".maps");

/* A packet that has not ended by then was queued or sent on: its end would prove nothing. */
#define BRACKET_STALE_NS 20000000

static __always_inline struct brackets *this_cpu_brackets(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&brackets, &zero);
}

/* The packet and its namespace are the hook's own: their members are read directly. */
static __always_inline void begin_bracket(const struct sk_buff *skb, const struct net *net,
					  bool ipv6, const struct segment *s)
{
	struct brackets *b = this_cpu_brackets();
	u64 now = bpf_ktime_get_ns();
	u32 free = BRACKETS, open = 0;

	if (!b)
		return;
#pragma unroll
	for (u32 i = 0; i < BRACKETS; i++) {
		if (b->skb[i] == (u64)skb || now - b->began_ns[i] > BRACKET_STALE_NS)
			b->skb[i] = 0;
		if (b->skb[i])
			open++;
		else
			free = i;
	}
	if (free >= BRACKETS)
		return;
	b->skb[free] = (u64)skb;
	b->began_ns[free] = now;
	b->dport[free] = s ? s->dport : 0;
	if (s)
		__builtin_memcpy(b->daddr[free], s->daddr, 16);
	b->mixed = open > 0;
	if (open && b->net == (u64)net)
		return;
	store_pointer(&b->net, net);
	if (!trusted_arrays(net, ipv6, &b->arrays) || !read_arrays(&b->arrays, &b->before))
		b->skb[free] = 0;
}

/* The bracket of this packet, closed, with its counters in before and after; NULL if it has none. */
static __always_inline struct brackets *end_bracket(const struct sk_buff *skb)
{
	struct brackets *b = this_cpu_brackets();
	u32 at = BRACKETS;

	if (!b)
		return NULL;
#pragma unroll
	for (u32 i = 0; i < BRACKETS; i++)
		if (b->skb[i] == (u64)skb)
			at = i;
	if (at == BRACKETS)
		return NULL;
	/* Through memory: one path for the verifier to follow from here, not one for each bracket. */
	*(volatile u32 *)&b->at = at;
	at = *(volatile u32 *)&b->at;
	if (at >= BRACKETS)
		return NULL;
	b->skb[at] = 0;
	if (bpf_ktime_get_ns() - b->began_ns[at] > BRACKET_STALE_NS)
		return NULL;
	return read_arrays(&b->arrays, &b->after) ? b : NULL;
}

/* To be called once the counters were used: the next open bracket begins where this one ended. */
static __always_inline void next_bracket(struct brackets *b)
{
	u64 open = 0;

#pragma unroll
	for (u32 i = 0; i < BRACKETS; i++)
		open |= b->skb[i];
	if (open && mib_words <= MIB_WORDS)
		bpf_probe_read_kernel(&b->before, mib_words * 8, &b->after);
}

#endif
