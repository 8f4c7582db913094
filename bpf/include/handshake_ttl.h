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

static __always_inline bool is_of(u64 place, u64 key)
{
	return (place & HANDSHAKE_TTL_KEY) == (key & HANDSHAKE_TTL_KEY);
}

/* Of a SYN or SYN-ACK that arrived, and of the one before: kept until another connection takes the place. */
static __always_inline void remember_handshake_ttl(const struct segment *s, u32 netns)
{
	u64 key = peer_key(s->daddr, s->dport, netns, s->saddr, s->sport);
	u64 *place = handshake_ttl_slot(key);
	u64 ttls = s->ttl;

	if (!place)
		return;
	if (is_of(*place, key))
		ttls |= (*place & 0xff) << 8;
	*place = (key & HANDSHAKE_TTL_KEY) | ttls;
}

/* 0: not known. */
static __always_inline u32 handshake_ttl(const struct wire_flow *f, u32 netns)
{
	u64 key = peer_key(f->saddr, f->sport, netns, f->daddr, f->dport);
	u64 *place = handshake_ttl_slot(key);

	return place && is_of(*place, key) ? *place & 0xff : 0;
}

/* Of a packet: the TTL that one of its ends had come in with before it came in with this one; 0: it had not. */
static __always_inline u32 ttl_before(const struct wire_flow *f, u32 ttl, u32 netns)
{
	u64 key = peer_key(f->daddr, f->dport, netns, f->saddr, f->sport);
	u64 *place = handshake_ttl_slot(key);

	return place && is_of(*place, key) && (*place & 0xff) == ttl ? *place >> 8 & 0xff : 0;
}

#endif
