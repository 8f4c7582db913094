/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who listens on an end. */
#ifndef TCPWHY_LISTENER_H
#define TCPWHY_LISTENER_H

#include "sock.h"

extern struct {
} listeners SEC(".maps"), listened SEC(".maps");

static __always_inline u32 *listened_on(u16 port)
{
	u32 slot = port & (LISTENED_SLOTS - 1);

	return bpf_map_lookup_elem(&listened, &slot);
}

static __always_inline long remember_listener(const struct endpoint *k, const struct sock *sk)
{
	struct listener l = { .sk = (u64)sk };
	u32 *ever = listened_on(k->port);

	if (ever)
		*ever = 1;
	return bpf_map_update_elem(&listeners, k, &l, BPF_ANY);
}

/* The listener on exactly this end, or on the port with any address: 0.0.0.0 before ::. */
static __always_inline u64 find_listener(u32 netns, const u8 *addr, u16 port)
{
	struct endpoint k = { .port = port, .netns = netns };
	struct listener *l;
	u32 *ever = listened_on(port);

	if (!ever || !*ever)
		return 0;
	__builtin_memcpy(k.addr, addr, 16);
	l = bpf_map_lookup_elem(&listeners, &k);
	if (l)
		return l->sk;
	map_ipv4(k.addr, 0);
	l = bpf_map_lookup_elem(&listeners, &k);
	if (l)
		return l->sk;
	__builtin_memset(k.addr, 0, 16);
	l = bpf_map_lookup_elem(&listeners, &k);
	return l ? l->sk : 0;
}

/* The map may name a socket that is gone: it counts only while it still listens on the port. */
static __always_inline u64 listener_on(u32 netns, const u8 *addr, u16 port)
{
	u64 found = find_listener(netns, addr, port);
	const struct sock *sk = (const void *)found;

	return sk && BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN &&
			       BPF_CORE_READ(sk, __sk_common.skc_num) == port
		       ? found
		       : 0;
}

static __always_inline void fill_listener(struct wire_sock *w, u32 netns, const u8 *addr, u16 port)
{
	const struct sock *sk = (const void *)listener_on(netns, addr, port);

	if (sk)
		fill_sock(w, sk);
}

#endif
