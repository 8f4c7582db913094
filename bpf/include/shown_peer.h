/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which live socket of a local end shows which peer. */
#ifndef TCPWHY_SHOWN_PEER_H
#define TCPWHY_SHOWN_PEER_H

#include "sock.h"

extern struct {
} shown_peers SEC(".maps");

static __always_inline void shown_key(struct shown_key *k, const struct wire_flow *f, u32 netns,
				      const u8 *shown_addr, u32 shown_port)
{
	__builtin_memcpy(k->local_addr, f->saddr, 16);
	__builtin_memcpy(k->shown_addr, shown_addr, 16);
	k->netns = netns;
	k->local_port = f->sport;
	k->shown_port = shown_port;
}

/* The first socket that shows a peer keeps it: a second one finds it there. */
static __always_inline void claim_peer(const struct shown_key *k, u64 sk)
{
	if (bpf_map_update_elem(&shown_peers, k, &sk, BPF_NOEXIST) &&
	    !bpf_map_lookup_elem(&shown_peers, k))
		count_untracked(UNTRACKED_SHOWN_PEER);
}

static __always_inline void release_peer(const struct shown_key *k, u64 sk)
{
	u64 *holder = bpf_map_lookup_elem(&shown_peers, k);

	if (holder && *holder == sk)
		bpf_map_delete_elem(&shown_peers, k);
}

#endif
