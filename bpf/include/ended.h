/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which connections both ends had closed: a late segment of theirs is nothing to worry about. */
#ifndef TCPWHY_ENDED_H
#define TCPWHY_ENDED_H

#include "shown_peer.h"

extern struct {
} ended SEC(".maps");

static __always_inline u64 connection_hash(const struct shown_key *k)
{
	const u64 *words = (const u64 *)k;
	u64 h = 0;

	for (int i = 0; i < (int)(sizeof(*k) / sizeof(*words)); i++)
		h = (h ^ h >> 32 ^ words[i]) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32;
}

/* Kept until one of ENDED_SLOTS others takes its place. */
static __always_inline void remember_end(const struct shown_key *k)
{
	u64 key = connection_hash(k);
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
	struct shown_key k = {
		.netns = netns,
		.local_port = s->dport,
		.shown_port = s->sport,
	};
	struct ended *e;
	u64 key;
	u32 slot;

	__builtin_memcpy(k.local_addr, s->daddr, 16);
	__builtin_memcpy(k.shown_addr, s->saddr, 16);
	key = connection_hash(&k);
	slot = key & (ENDED_SLOTS - 1);
	e = bpf_map_lookup_elem(&ended, &slot);
	if (!e || e->key != key)
		return 0;
	return (bpf_ktime_get_ns() - e->ktime_ns) / 1000000 + 1;
}

#endif
