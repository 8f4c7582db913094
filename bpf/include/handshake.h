/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The packet of a handshake that is handled on this CPU, and the counters as they were before. */
#ifndef TCPWHY_HANDSHAKE_H
#define TCPWHY_HANDSHAKE_H

#include "refusal.h"

extern struct {
} handshakes SEC(".maps");

static __always_inline struct brackets *this_cpu_handshake(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&handshakes, &zero);
}

static __always_inline int read_those(u32 read, const struct mib_arrays *arrays,
				      struct mib_snapshot *to)
{
	if (read == MIB_READ_SYN)
		return read_syn_arrays(arrays, to);
	if (read == MIB_READ_REQUEST)
		return read_request_arrays(arrays, to);
	return read_arrays(arrays, to);
}

/* The bracket of this packet, closed; NULL if it has none. */
static __always_inline struct brackets *leave(const struct sk_buff *skb)
{
	struct brackets *b = this_cpu_handshake();

	if (!b || b->skb[0] != (u64)skb || !b->open)
		return NULL;
	b->skb[0] = 0;
	return b;
}

/* Counters that are not read have not moved. */
static __always_inline bool read_after(struct brackets *b)
{
	if (b->read != MIB_READ_ALL && mib_words <= MIB_WORDS)
		bpf_probe_read_kernel(&b->after, mib_words * 8, &b->before);
	return read_those(b->read, &b->arrays, &b->after);
}

/* What completes a handshake is freed as dropped where it does not: at once. */
#define HANDSHAKE_JIFFIES 1000

static __always_inline bool may_be_refused(const struct sk_buff *skb)
{
	const struct brackets *b = this_cpu_handshake();

	return b && b->skb[0] == (u64)skb && bpf_jiffies64() - b->jiffy < HANDSHAKE_JIFFIES;
}

/* A child that is established is none that was refused. */
static __always_inline void handshake_completes(void)
{
	struct brackets *b = this_cpu_handshake();

	if (b)
		b->skb[0] = 0;
}

#endif
