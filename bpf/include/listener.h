/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who listens on an end: found in the kernel's own table, as the kernel finds it. */
#ifndef TCPWHY_LISTENER_H
#define TCPWHY_LISTENER_H

#include "sock.h"

extern struct {
} lookups SEC(".maps"), listened SEC(".maps"), drops_before SEC(".maps");

/*
 * The listener that the kernel takes for what is asked for in this place, or 0. Of listeners that share
 * an end by SO_REUSEPORT it is any, and the lookup has their group.
 */
u64 listener_of(u32 place);

/*
 * Of the group that this lookup found, the one that refused just now, where these counters moved (bits
 * of enum mib_slot). 0: it may be one of several, as many as the lookup says then.
 */
u64 refusing_one(u32 place, u32 moved);

static __always_inline u32 *listened_on(u16 port)
{
	u32 slot = port & (LISTENED_SLOTS - 1);

	return bpf_map_lookup_elem(&listened, &slot);
}

static __always_inline struct lookup *lookup_at(u32 place)
{
	return bpf_map_lookup_elem(&lookups, &place);
}

/* With others on its end: by SO_REUSEPORT, or each on a device of its own. */
static __always_inline bool may_share_end(const struct sock *sk)
{
	return BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_reuseport) ||
	       BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if);
}

static __always_inline void note_drops(const struct sock *sk)
{
	u64 id = 0;
	struct drops_seen seen = { .drops = BPF_CORE_READ(sk, sk_drops.counter) };

	store_pointer(&id, sk);
	bpf_map_update_elem(&drops_before, &id, &seen, BPF_ANY);
}

static __always_inline void remember_listener(const struct sock *sk, u16 port)
{
	u32 *ever = listened_on(port);
	bool shares = may_share_end(sk);

	if (ever)
		*ever |= shares ? LISTENED | LISTENED_BESIDE_OTHERS : LISTENED;
	if (shares)
		note_drops(sk);
}

/* What tells the listeners of one end apart in a key. */
static __always_inline u64 listener_detail(const struct sock *sk)
{
	return may_share_end(sk) ? (u64)low_half((u64)sk) << 32 : 0;
}

/* `ifindex` 0: on whatever device. The namespace is any pointer to it. */
static __always_inline u64 find_listener(u32 place, const struct net *net, const u8 *addr, u16 port,
					 u32 ifindex)
{
	u32 *ever = listened_on(port);
	struct lookup *l;

	if (!ever || !*ever)
		return 0;
	l = lookup_at(place);
	if (!l)
		return 0;
	store_pointer(&l->net, net);
	__builtin_memcpy(l->addr, addr, 16);
	l->port = port;
	l->ifindex = ifindex;
	return listener_of(place);
}

#endif
