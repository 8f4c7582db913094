/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Count every occurrence exactly, let some become records. */
#ifndef TCPWHY_EMIT_H
#define TCPWHY_EMIT_H

#include "hash.h"
#include "maps.h"

extern struct {
} events SEC(".maps"), scratch SEC(".maps"), totals SEC(".maps"),
	more_totals SEC(".maps"), overflow SEC(".maps"), unwritten SEC(".maps");

/* What is counted together: the end is the service's, a client's own port differs each time. */
struct count_key {
	u8 addr[16] __attribute__((aligned(8)));
	u32 port;
	u32 netns;
	u32 kind;
	u32 reason;
	/* What splits one reason further, so that one key has one cause. */
	u64 detail;
};

/* Bits of the detail: a reset that answers no packet; the service is at the local end. */
#define KEY_ACTIVE (1u << 25)
#define KEY_SERVED_HERE (1u << 24)

/* Of a connection: who uses the service, as src/causes/shared/groups.ts puts connections together. */
static __always_inline void key_user(struct count_key *k, const u8 *addr)
{
	u64 words[2];

	__builtin_memcpy(words, addr, 16);
	k->detail |= hash_words(words, 2) << 32;
}

/* From one field after the other: a key that stays in registers is never put together. */
static __always_inline u64 hash_key(const struct count_key *k)
{
	u64 words[5];

	__builtin_memcpy(words, k->addr, 16);
	words[2] = (u64)k->netns << 32 | k->port;
	words[3] = (u64)k->reason << 32 | k->kind;
	words[4] = k->detail;
	return hash_words(words, 5);
}

static __always_inline void begin_total(struct total *t, u64 hash, u32 kind, u32 reason)
{
	t->key = hash;
	t->kind = kind;
	t->reason = reason;
	t->tokens = sample_burst;
	t->refilled_ns = bpf_ktime_get_ns();
	/* Last, so that who reads this first finds the place. Linux 5.10 has no more than xadd. */
	barrier();
	__c11_atomic_fetch_add((_Atomic u64 *)&totals_begun, 1, __ATOMIC_RELAXED);
}

static __noinline __attribute__((unused)) struct total *more_total(u64 hash, u32 kind, u32 reason)
{
	struct total fresh = {}, *t;

	t = bpf_map_lookup_elem(&more_totals, &hash);
	if (!t) {
		bpf_map_update_elem(&more_totals, &hash, &fresh, BPF_NOEXIST);
		t = bpf_map_lookup_elem(&more_totals, &hash);
	}
	if (!t)
		return bpf_map_lookup_elem(&overflow, &kind);
	/* Each CPU has its own: zeros where another one made the entry. */
	if (!t->key)
		begin_total(t, hash, kind, reason);
	return t;
}

static __always_inline struct total *total_of(u64 hash, u32 kind, u32 reason)
{
	u32 slot = hash & (TOTAL_SLOTS - 1);
	struct total *t = bpf_map_lookup_elem(&totals, &slot), *other;

	if (t && t->key == hash)
		return t;
	slot ^= 1;
	other = bpf_map_lookup_elem(&totals, &slot);
	if (other && other->key == hash)
		return other;
	if (t && t->key)
		t = other;
	if (!t || t->key)
		return more_total(hash, kind, reason);
	begin_total(t, hash, kind, reason);
	return t;
}

/* Where a record stands for more than so many, fewer of them say as much. */
#define STORM_PENDING 64
#define STORM_INTERVALS 4

/* Tokens come back with time, which is asked for once a jiffy at the most. */
static __always_inline bool refill(struct total *t)
{
	u64 jiffy = bpf_jiffies64(), interval_ns = sample_interval_ns, now, fresh;

	if (t->jiffy == jiffy)
		return false;
	t->jiffy = jiffy;
	now = bpf_ktime_get_ns();
	if (t->pending > STORM_PENDING)
		interval_ns *= STORM_INTERVALS;
	fresh = (now - t->refilled_ns) / interval_ns;
	if (!fresh)
		return false;
	t->refilled_ns = now;
	t->tokens = fresh < sample_burst ? fresh : sample_burst;
	return true;
}

/* Counts one occurrence. Returns its total: for what becomes a record each time. */
static __always_inline struct total *count_unsampled(const struct count_key *k)
{
	struct total *t = total_of(hash_key(k), k->kind, k->reason);

	if (!t)
		return NULL;
	t->count++;
	t->pending++;
	if (every_record)
		t->tokenless = 0;
	return t;
}

/* Counts one occurrence. Returns its total where this one shall become a record, else NULL. */
static __always_inline struct total *count(const struct count_key *k)
{
	struct total *t = count_unsampled(k);

	if (!t)
		return NULL;
	if (t->tokens || refill(t)) {
		t->tokens--;
		return t;
	}
	if (!every_record)
		return NULL;
	t->tokenless = 1;
	return t;
}

/* Whether the record that is made now stands for itself alone, and is counted only. */
static __always_inline bool is_tokenless(const struct total *t)
{
	return every_record && t->tokenless;
}

static __always_inline void *record_buffer(u32 slot)
{
	return bpf_map_lookup_elem(&scratch, &slot);
}

static __always_inline struct parse *parse_area(void *record)
{
	return &((struct scratch *)record)->parse;
}

static __always_inline struct segment *segment_area(void *record)
{
	return &((struct scratch *)record)->segment;
}

static __always_inline void fill_event(struct wire_event *e, u32 netns, const struct total *t)
{
	e->ktime_ns = bpf_ktime_get_ns();
	e->cpu = bpf_get_smp_processor_id();
	e->netns = netns;
	e->key = t ? t->key : 0;
	e->occurrences = !t ? 1 : is_tokenless(t) ? 0 : t->pending;
}

static __noinline __attribute__((unused)) u32 count_unwritten(long err)
{
	u32 why = err == -ENOENT || err == -EOPNOTSUPP ? UNWRITTEN_NO_RING : UNWRITTEN_FULL;
	u64 *records = bpf_map_lookup_elem(&unwritten, &why);

	if (records)
		(*records)++;
	return 0;
}

/* Whether this CPU's buffer took it. */
static __always_inline bool output(void *ctx, void *record, u64 size)
{
	long err = bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, record, size);

	if (err)
		count_unwritten(err);
	return !err;
}

/* The buffer has the record of what was counted last. */
static __always_inline void is_told(struct total *t)
{
	t->pending = is_tokenless(t) && t->pending ? t->pending - 1 : 0;
}

/* Where the buffer is full the occurrences stay pending and go with the next record of the key. */
static __always_inline void submit(void *ctx, void *record, u64 size, struct total *t)
{
	if (output(ctx, record, size) && t)
		is_told(t);
}

#endif
