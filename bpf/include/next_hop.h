/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where packets go first, by a route. */
#ifndef TCPWHY_NEXT_HOP_H
#define TCPWHY_NEXT_HOP_H

#include "hash.h"
#include "mac.h"
#include "segment.h"

extern struct {
} silent_neighbours SEC(".maps"), known_neighbours SEC(".maps");

static __always_inline u64 neighbour_key(const u8 *addr, u32 netns)
{
	u64 words[3];

	__builtin_memcpy(words, addr, 16);
	words[2] = netns;
	return hash_words(words, 3);
}

static __always_inline bool is_mapped_ipv4(const u8 *addr)
{
	const u32 *words = (const u32 *)addr;

	return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

static __always_inline void fill_gateway(u8 *to, const struct dst_entry *dst, bool ipv4)
{
	const struct rtable *v4 = (const void *)dst;
	const struct rt6_info *v6 = (const void *)dst;
	u8 family = AF_INET6;

	if (ipv4)
		family = BPF_CORE_READ(v4, rt_gw_family);
	if (family == AF_INET)
		map_ipv4(to, BPF_CORE_READ(v4, rt_gw4));
	else if (ipv4 && family == AF_INET6)
		bpf_core_read(to, 16, &v4->rt_gw6);
	else if (!ipv4)
		bpf_core_read(to, 16, &v6->rt6i_gateway);
}

/* Longer than the kernel waits before it asks again. */
#define SILENT_NS 130000000000ull

/* Where the route is gone the destination may be the neighbour. */
static __always_inline void fill_silence(struct wire_next_hop *w, const u8 *daddr, u32 netns)
{
	const u64 *filled = (const u64 *)w->addr;
	bool has_route = filled[0] || filled[1];
	const struct silent_neighbour *n;
	u64 key = neighbour_key(has_route ? w->addr : daddr, netns);

	n = bpf_map_lookup_elem(&silent_neighbours, &key);
	if (!n || bpf_ktime_get_ns() - n->ktime_ns > SILENT_NS)
		return;
	w->is_silent = 1;
	if (has_route)
		return;
	__builtin_memcpy(w->addr, daddr, 16);
	__builtin_memcpy(w->device, n->device, 16);
}

/* `daddr` is where the packets are for. */
static __noinline __attribute__((unused)) int
fill_next_hop(struct wire_next_hop *w, const struct dst_entry *dst, const u8 *daddr)
{
	const struct net_device *dev = dst ? BPF_CORE_READ(dst, dev) : NULL;
	const u64 *filled = (const u64 *)w->addr;

	if (!dev)
		return 0;
	fill_gateway(w->addr, dst, is_mapped_ipv4(daddr));
	if (!filled[0] && !filled[1])
		__builtin_memcpy(w->addr, daddr, 16);
	bpf_probe_read_kernel(w->device, 16, dev->name);
	return 0;
}

/* Of the next hop of what is sent to `daddr` by this route: whether its MAC has changed. */
static __noinline __attribute__((unused)) int
fill_mac_change(struct wire_mac_change *w, const struct dst_entry *dst, const u8 *daddr, u32 netns)
{
	u8 addr[16] __attribute__((aligned(8))) = {};
	const u64 *words = (const u64 *)addr;
	const struct known_neighbour *known;
	u64 key;

	if (!PRUNES_WELL)
		return 0;
	if (dst)
		fill_gateway(addr, dst, is_mapped_ipv4(daddr));
	if (!words[0] && !words[1])
		__builtin_memcpy(addr, daddr, 16);
	key = neighbour_key(addr, netns);
	known = bpf_map_lookup_elem(&known_neighbours, &key);
	if (!known || !known->moved_ns)
		return 0;
	__builtin_memcpy(w->addr, addr, 16);
	fill_mac(w->mac, known->mac);
	fill_mac(w->mac_was, known->was);
	w->ago_ms = (bpf_ktime_get_ns() - known->moved_ns) / 1000000;
	return 0;
}

#endif
