// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Neighbours that do not answer ARP or neighbour discovery, and those whose MAC has changed. */
#include "hooks.h"
#include "mac.h"
#include "next_hop.h"

#define NUD_INCOMPLETE 0x01
#define NUD_PROBE 0x10
#define NUD_FAILED 0x20
#define NUD_ANSWERED (0x02 | 0x40 | 0x80)
#define NUD_VALID (NUD_ANSWERED | 0x04 | 0x08 | 0x10)
#define NUD_NO_ARP (0x40 | 0x80)
/* By hand: bit 7, which was no flag before Linux 5.16, or until then the highest. */
#define NEIGH_UPDATE_F_ADMIN (0x80 | 0x80000000)

static __always_inline bool neighbour_addr(u8 *addr, const struct neighbour *n)
{
	int family = BPF_CORE_READ(n, tbl, family);
	__be32 v4;

	if (family == AF_INET) {
		if (bpf_core_read(&v4, sizeof(v4), &n->primary_key))
			return false;
		map_ipv4(addr, v4);
		return true;
	}
	return family == AF_INET6 && !bpf_core_read(addr, 16, &n->primary_key);
}

/* When it has been asked again; a probe has no answer before the next one. */
static __always_inline bool is_silent(const struct neighbour *n)
{
	u8 state = BPF_CORE_READ(n, nud_state);

	return state & (NUD_INCOMPLETE | NUD_FAILED) ||
	       (state & NUD_PROBE && BPF_CORE_READ(n, probes.counter) > 1);
}

ON_TRACEPOINT(neigh_timer_handler, neighbour_waits, struct neighbour *n)
{
	const struct net_device *dev = BPF_CORE_READ(n, dev);
	u8 addr[16] __attribute__((aligned(8)));
	struct silent_neighbour silent = {};
	u64 key;

	if (!is_silent(n) || !neighbour_addr(addr, n))
		return 0;
	silent.ktime_ns = bpf_ktime_get_ns();
	silent.ifindex = BPF_CORE_READ(dev, ifindex);
	bpf_probe_read_kernel(silent.device, 16, dev->name);
	key = neighbour_key(addr, netns_of(BPF_CORE_READ(dev, nd_net.net)));
	bpf_map_update_elem(&silent_neighbours, &key, &silent, BPF_ANY);
	return 0;
}

/* What it says may be another MAC than it had: the kernel need not believe that. */
static __noinline int remember_mac(const struct neighbour *n, const u8 *lladdr, u32 flags, u64 key)
{
	struct known_neighbour fresh = {}, *known;
	u8 state = BPF_CORE_READ(n, nud_state);
	u64 mac = read_mac(lladdr);

	/* An entry by hand is changed by hand. */
	if (state & NUD_NO_ARP && !(flags & NEIGH_UPDATE_F_ADMIN))
		return 0;
	if (BPF_CORE_READ(n, dev, type) != ARPHRD_ETHER || !mac)
		return 0;
	known = bpf_map_lookup_elem(&known_neighbours, &key);
	if (!known) {
		if (state & NUD_VALID)
			fresh.mac = read_mac(n->ha);
		if (!fresh.mac)
			fresh.mac = mac;
		bpf_map_update_elem(&known_neighbours, &key, &fresh, BPF_NOEXIST);
		known = bpf_map_lookup_elem(&known_neighbours, &key);
	}
	if (!known || known->mac == mac)
		return 0;
	known->was = known->mac;
	known->mac = mac;
	known->moved_ns = bpf_ktime_get_ns();
	return 0;
}

/* An answer, an announcement, or an entry by hand. */
ON_TRACEPOINT(neigh_update, neighbour_answers, struct neighbour *n, const u8 *unread, u8 state,
	      u32 flags)
{
	u8 addr[16] __attribute__((aligned(8)));
	const u8 *lladdr = NULL;
	u64 key;

	if (!(state & NUD_VALID) || !neighbour_addr(addr, n))
		return 0;
	key = neighbour_key(addr, netns_of(BPF_CORE_READ(n, dev, nd_net.net)));
	/* Before 5.18 a program may not take a pointer to bytes from its arguments. */
	bpf_probe_read_kernel(&lladdr, sizeof(lladdr), (u64 *)ctx + 1);
	if (lladdr)
		remember_mac(n, lladdr, flags, key);
	if (state & NUD_ANSWERED)
		bpf_map_delete_elem(&silent_neighbours, &key);
	return 0;
}
