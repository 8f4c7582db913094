/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which live socket of a local end shows which peer. */
#ifndef TCPWHY_SHOWN_PEER_H
#define TCPWHY_SHOWN_PEER_H

#include "hash.h"
#include "sock.h"

extern struct {
} shown_peers SEC(".maps"), more_shown_peers SEC(".maps");

/* Of a local end and its peer, as it is or as it is shown. */
static __always_inline u64 peer_key(const u8 *local_addr, u32 local_port, u32 netns,
				    const u8 *peer_addr, u32 peer_port)
{
	u64 words[5];

	__builtin_memcpy(words, local_addr, 16);
	__builtin_memcpy(words + 2, peer_addr, 16);
	words[4] = (u64)netns << 32 | (u64)local_port << 16 | peer_port;
	return hash_words(words, 5);
}

static __always_inline struct shown_peer *shown_peer_at(u32 slot)
{
	return bpf_map_lookup_elem(&shown_peers, &slot);
}

/* The socket that shows a peer, but not `sk`; 0: none. */
static __always_inline u64 shown_by_another(u64 key, u64 sk)
{
	u32 slot = key & (SHOWN_PEER_SLOTS - 1);
	struct shown_peer *p = shown_peer_at(slot);
	u64 *more;

	if (p && p->key == key && p->sk != sk)
		return p->sk;
	p = shown_peer_at(slot ^ 1);
	if (p && p->key == key && p->sk != sk)
		return p->sk;
	more = bpf_map_lookup_elem(&more_shown_peers, &key);
	return more && *more != sk ? *more : 0;
}

static __always_inline void take_shown_peer(struct shown_peer *p, u64 key, u64 sk)
{
	p->sk = sk;
	p->key = key;
}

/* The first socket that shows a peer keeps it: a second one finds it there. */
static __always_inline void claim_peer(u64 key, u64 sk)
{
	u32 slot = key & (SHOWN_PEER_SLOTS - 1);
	struct shown_peer *p = shown_peer_at(slot), *other = shown_peer_at(slot ^ 1);

	if (!p || !other || p->key == key || other->key == key)
		return;
	if (!p->key)
		take_shown_peer(p, key, sk);
	else if (!other->key)
		take_shown_peer(other, key, sk);
	else if (bpf_map_update_elem(&more_shown_peers, &key, &sk, BPF_NOEXIST) &&
		 !bpf_map_lookup_elem(&more_shown_peers, &key))
		count_untracked(UNTRACKED_SHOWN_PEER);
}

static __always_inline void release_peer(u64 key, u64 sk)
{
	u32 slot = key & (SHOWN_PEER_SLOTS - 1);
	struct shown_peer *p = shown_peer_at(slot);
	u64 *more;

	if (!p || p->key != key)
		p = shown_peer_at(slot ^ 1);
	if (p && p->key == key) {
		if (p->sk == sk)
			p->key = 0;
		return;
	}
	more = bpf_map_lookup_elem(&more_shown_peers, &key);
	if (more && *more == sk)
		bpf_map_delete_elem(&more_shown_peers, &key);
}

#endif
