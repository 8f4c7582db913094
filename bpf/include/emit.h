/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Count every occurrence exactly, let some become records. */
#ifndef TCPWHY_EMIT_H
#define TCPWHY_EMIT_H

#include "maps.h"

extern struct {
} events SEC(".maps"), scratch SEC(".maps"), totals SEC(".maps"), overflow SEC(".maps");

/* What is counted together. The end is the local one: the listener's or the closing socket's. */
struct count_key {
	u8 addr[16];
	u32 port;
	u32 netns;
	u32 kind;
	u32 reason;
	/* What splits one reason further, so that one key has one cause. */
	u64 detail;
};

static __always_inline u64 hash_key(const struct count_key *k)
{
	const u64 *words = (const u64 *)k;
	u64 h = 0x9e3779b97f4a7c15ull;

	for (unsigned int i = 0; i < sizeof(*k) / 8; i++) {
		h = (h ^ words[i]) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	return h ? h : 1;
}

static __always_inline struct total *total_of(u64 *hash, const struct count_key *k)
{
	struct total fresh = { .kind = k->kind, .reason = k->reason };
	struct total *t = bpf_map_lookup_elem(&totals, hash);
	u32 kind = k->kind;

	if (t)
		return t;
	bpf_map_update_elem(&totals, hash, &fresh, BPF_NOEXIST);
	t = bpf_map_lookup_elem(&totals, hash);
	if (t)
		return t;
	*hash = 0;
	return bpf_map_lookup_elem(&overflow, &kind);
}

/* Counts one occurrence. Returns its total where this one shall become a record, else NULL. */
static __always_inline struct total *count(const struct count_key *k, u64 *hash, u64 now)
{
	struct total *t;
	u64 earliest;

	*hash = hash_key(k);
	t = total_of(hash, k);
	if (!t)
		return NULL;
	t->count++;
	t->pending++;
	if (!sample_interval_ns)
		return t;
	earliest = now - sample_burst * sample_interval_ns;
	if (t->due_ns < earliest)
		t->due_ns = earliest;
	if (t->due_ns > now)
		return NULL;
	t->due_ns += sample_interval_ns;
	return t;
}

static __always_inline void *record_buffer(u32 slot)
{
	return bpf_map_lookup_elem(&scratch, &slot);
}

static __always_inline struct parse *parse_area(void *record)
{
	return &((struct scratch *)record)->parse;
}

static __always_inline void fill_event(struct wire_event *e, u64 now, u32 netns, u64 hash,
				       const struct total *t)
{
	e->ktime_ns = now;
	e->cpu = bpf_get_smp_processor_id();
	e->netns = netns;
	e->key = hash;
	e->occurrences = t ? t->pending : 1;
}

/* Where the buffer is full the occurrences stay pending and go with the next record of the key. */
static __always_inline void submit(void *ctx, void *record, u64 size, struct total *t)
{
	if (!bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, record, size) && t)
		t->pending = 0;
}

#endif
