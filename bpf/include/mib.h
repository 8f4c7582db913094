/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The namespace's counters on this CPU. The kernel adds to its own CPU's copy where it decides, so
 * what moves while it handles one packet says what it decided.
 */
#ifndef TCPWHY_MIB_H
#define TCPWHY_MIB_H

#include "segment.h"

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

static __always_inline __attribute__((unused)) u64 read_counter(u64 address)
{
	u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (const void *)address);
	return value;
}

/* For a namespace whose members the verifier allows to be read directly; `to` is in a map. */
static __always_inline bool trusted_arrays(const struct net *net, bool ipv6, struct mib_arrays *to)
{
	u64 distance = this_cpu_distance();

	to->linux_mib = pointer_value(&to->linux_mib, MEMBER(net, mib.net_statistics)) + distance;
	to->tcp_mib = pointer_value(&to->tcp_mib, MEMBER(net, mib.tcp_statistics)) + distance;
	if (ipv6)
		to->ip_mib =
			pointer_value(&to->ip_mib, MEMBER(net, mib.ipv6_statistics)) + distance;
	else
		to->ip_mib = pointer_value(&to->ip_mib, MEMBER(net, mib.ip_statistics)) + distance;
	return distance;
}

/*
 * Counters as they stand. The reads are constants to the verifier: those that are not there are no
 * code in the end. False where they cannot be read.
 */
static __always_inline int read_of(u32 kind, const struct mib_arrays *arrays,
				   struct mib_snapshot *to)
{
#pragma unroll
	for (u32 i = 0; i < MIB_READS; i++) {
		union {
			u64 word;
			struct mib_read of;
		} r = { .word = *(const volatile u64 *)&mib_reads[kind][i] };
		u32 count = r.of.count, at = r.of.to;
		u64 base = arrays->linux_mib;

		if (!count)
			return 1;
		if (r.of.array == MIB_ARRAY_TCP)
			base = arrays->tcp_mib;
		else if (r.of.array == MIB_ARRAY_IP)
			base = arrays->ip_mib;
		if (at >= MIB_WORDS || count > MIB_WORDS - at ||
		    bpf_probe_read_kernel(&to->words[at], count * 8,
					  (const void *)(base + r.of.from * 8)))
			return 0;
	}
	return 1;
}

static __noinline __attribute__((unused)) int read_arrays(const struct mib_arrays *arrays,
							  struct mib_snapshot *to)
{
	return read_of(MIB_READ_ALL, arrays, to);
}

static __noinline __attribute__((unused)) int read_syn_arrays(const struct mib_arrays *arrays,
							      struct mib_snapshot *to)
{
	return read_of(MIB_READ_SYN, arrays, to);
}

static __noinline __attribute__((unused)) int read_request_arrays(const struct mib_arrays *arrays,
								  struct mib_snapshot *to)
{
	return read_of(MIB_READ_REQUEST, arrays, to);
}

/* Counters of a namespace as they stand on this CPU; 0 where they cannot be read. */
static __noinline __attribute__((unused)) int read_mib(const struct net *net, bool ipv6,
						       struct mib_snapshot *to)
{
	u64 distance = this_cpu_distance();
	struct mib_arrays arrays;

	if (!distance || !net || !to)
		return 0;
	arrays.linux_mib = (u64)BPF_CORE_READ(net, mib.net_statistics) + distance;
	arrays.tcp_mib = (u64)BPF_CORE_READ(net, mib.tcp_statistics) + distance;
	arrays.ip_mib = distance + (ipv6 ? (u64)BPF_CORE_READ(net, mib.ipv6_statistics)
					 : (u64)BPF_CORE_READ(net, mib.ip_statistics));
	return read_arrays(&arrays, to);
}

static __always_inline u64 mib_value(const struct mib_snapshot *s, u32 slot)
{
	u32 place = mib_place[slot];

	return place < MIB_WORDS ? s->words[place] : 0;
}

/*
 * One bit a slot that moved. The caller reads the result from memory: of a value that it was handed
 * the verifier would follow all 2^23 ways to come by it.
 */
static __noinline __attribute__((unused)) void
mib_moved(const struct mib_snapshot *before, const struct mib_snapshot *after, u32 *result)
{
	volatile u32 *moved = result;

	*moved = 0;
	/* One slot after the other, or the compiler keeps all of them on the stack at once. */
#pragma unroll
	for (u32 slot = 0; slot < MIB_SLOTS; slot++)
		*moved |= (u32)(mib_value(after, slot) != mib_value(before, slot)) << slot;
}

static __always_inline void fill_mib(struct wire_mib_delta *w, const struct mib_snapshot *before,
				     const struct mib_snapshot *after, bool mixed)
{
#pragma unroll
	for (u32 slot = 0; slot < MIB_SLOTS; slot++)
		((u32 *)w)[2 * slot + 1] = mib_value(after, slot) - mib_value(before, slot);
	w->mixed = mixed;
}

#endif
