/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which connections both ends had closed: a late segment of theirs is nothing to worry about. */
#ifndef TCPWHY_ENDED_H
#define TCPWHY_ENDED_H

#include "shown_peer.h"

extern struct {
} ended SEC(".maps");

/* Kept until one of ENDED_SLOTS others takes its place. */
static __always_inline void remember_end(u64 key)
{
	u32 slot = key & (ENDED_SLOTS - 1);
	struct ended *e = bpf_map_lookup_elem(&ended, &slot);

	if (!e)
		return;
	e->key = key;
	e->ktime_ns = bpf_ktime_get_ns();
}

/* How long ago, at least 1; 0 where it is not known to have ended. */
static __always_inline u32 since_end_ms(const struct segment *s, u32 netns)
{
	u64 key = peer_key(s->daddr, s->dport, netns, s->saddr, s->sport);
	u32 slot = key & (ENDED_SLOTS - 1);
	struct ended *e = bpf_map_lookup_elem(&ended, &slot);

	if (!e || e->key != key)
		return 0;
	return (bpf_ktime_get_ns() - e->ktime_ns) / 1000000 + 1;
}

#endif
