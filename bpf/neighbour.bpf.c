// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Neighbours that do not answer ARP or neighbour discovery. */
#include "hooks.h"
#include "next_hop.h"

#define NUD_INCOMPLETE 0x01
#define NUD_PROBE 0x10
#define NUD_FAILED 0x20
#define NUD_ANSWERED (0x02 | 0x40 | 0x80)

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

/* An answer, or an entry by hand. */
ON_TRACEPOINT(neigh_update, neighbour_answers, struct neighbour *n, const u8 *lladdr, u8 state)
{
	u8 addr[16] __attribute__((aligned(8)));
	u64 key;

	if (!(state & NUD_ANSWERED) || !neighbour_addr(addr, n))
		return 0;
	key = neighbour_key(addr, netns_of(BPF_CORE_READ(n, dev, nd_net.net)));
	bpf_map_delete_elem(&silent_neighbours, &key);
	return 0;
}
