/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which answer a connecting socket waits for. */
#ifndef TCPWHY_DIAL_H
#define TCPWHY_DIAL_H

#include "sock.h"

extern struct {
} dials SEC(".maps");

static __always_inline u64 dial_key(const u8 *saddr, u32 sport, u32 netns, u32 ack_seq)
{
	const u64 *words = (const u64 *)saddr;
	u64 h = words[0] ^ (u64)netns << 32 ^ sport;

	h = (h ^ h >> 32) * 0x9e3779b97f4a7c15ull ^ words[1];
	h = (h ^ h >> 32) * 0x9e3779b97f4a7c15ull ^ ack_seq;
	h = (h ^ h >> 32) * 0x9e3779b97f4a7c15ull;
	h ^= h >> 32;
	return h ? h : 1;
}

/* Connects that are pending longer than it takes for DIAL_SLOTS others to begin may be overwritten. */
static __always_inline void remember_dial(u64 key, const struct sock *sk)
{
	u32 slot = key & (DIAL_SLOTS - 1);
	struct dial *d = bpf_map_lookup_elem(&dials, &slot);

	if (!d)
		return;
	d->key = key;
	d->sk = (u64)sk;
}

#endif
