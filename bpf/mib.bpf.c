// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Reading a namespace's counters. Global functions: the verifier goes through them once. */
#include "mib.h"

extern struct {
} cpu_offset SEC(".maps");

/*
 * Distance from a per-CPU pointer to this CPU's copy. An element of a per-CPU array is such a copy:
 * its address less the pointer that the map holds is the distance. Needs no symbol of the kernel.
 */
static __always_inline u64 this_cpu_distance(void)
{
	u32 at = bpf_core_field_offset(struct bpf_array, pptrs) / 8, zero = 0;
	struct cpu_offset *o = bpf_map_lookup_elem(&cpu_offset, &zero);
	volatile u64 *own;

	if (!o || at >= 64)
		return 0;
	if (!o->distance) {
		if (bpf_probe_read_kernel(o->map_head, sizeof(o->map_head), &cpu_offset))
			return 0;
		/* Through memory: the verifier allows no arithmetic on the element's address itself. */
		own = &o->distance;
		*own = (u64)o;
		*own = *own - o->map_head[at];
	}
	return o->distance;
}

__attribute__((noinline)) int read_mib(u64 net_address, u32 ipv6, struct mib_snapshot *to)
{
	const struct net *net = (const void *)net_address;
	u64 distance = this_cpu_distance();
	u32 linux_size = bpf_core_type_size(struct linux_mib),
	    tcp_size = bpf_core_type_size(struct tcp_mib);
	u32 no_routes = mib_index[MIB_SLOT_OUT_NO_ROUTES];
	const u8 *ip;

	if (!distance || !net || !to || linux_size > sizeof(to->linux_mib) ||
	    tcp_size > sizeof(to->tcp_mib))
		return 0;
	if (bpf_probe_read_kernel(to->linux_mib, linux_size,
				  (u8 *)BPF_CORE_READ(net, mib.net_statistics) + distance) ||
	    bpf_probe_read_kernel(to->tcp_mib, tcp_size,
				  (u8 *)BPF_CORE_READ(net, mib.tcp_statistics) + distance))
		return 0;
	ip = ipv6 ? (u8 *)BPF_CORE_READ(net, mib.ipv6_statistics)
		  : (u8 *)BPF_CORE_READ(net, mib.ip_statistics);
	return no_routes == 0xffff || !bpf_probe_read_kernel(&to->out_no_routes, sizeof(u64),
							     ip + distance + no_routes * 8);
}

__attribute__((noinline)) u32 mib_moved(const struct mib_snapshot *before,
					const struct mib_snapshot *after)
{
	u32 moved = 0;

	if (!before || !after)
		return 0;
#pragma unroll
	for (u32 slot = 0; slot < MIB_SLOTS; slot++) {
		u64 delta = mib_value(after, slot) - mib_value(before, slot);

		/* A branch a slot would double the verifier's work 23 times. */
		barrier_var(delta);
		moved |= (u32)((delta | -delta) >> 63) << slot;
	}
	return moved;
}
