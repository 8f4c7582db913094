/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How far away the peer was when a connection began: a box on the way that resets it is nearer. */
#ifndef TCPWHY_HANDSHAKE_TTL_H
#define TCPWHY_HANDSHAKE_TTL_H

#include "shown_peer.h"

extern struct {
} handshake_ttls SEC(".maps");

static __always_inline u64 *handshake_ttl_slot(u64 key)
{
	u32 slot = key & (HANDSHAKE_TTL_SLOTS - 1);

	return bpf_map_lookup_elem(&handshake_ttls, &slot);
}

/* Of a SYN or SYN-ACK that arrived: kept until another connection takes the place. */
static __always_inline void remember_handshake_ttl(const struct segment *s, u32 netns)
{
	u64 key = peer_key(s->daddr, s->dport, netns, s->saddr, s->sport);
	u64 *place = handshake_ttl_slot(key);

	if (place)
		*place = (key & ~0xffull) | s->ttl;
}

/* 0: not known. */
static __always_inline u32 handshake_ttl(const struct wire_flow *f, u32 netns)
{
	u64 key = peer_key(f->saddr, f->sport, netns, f->daddr, f->dport);
	u64 *place = handshake_ttl_slot(key);

	return place && (*place & ~0xffull) == (key & ~0xffull) ? *place & 0xff : 0;
}

#endif
