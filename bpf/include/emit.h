/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Count every occurrence exactly, let some become records. */
#ifndef TCPWHY_EMIT_H
#define TCPWHY_EMIT_H

#include "hash.h"
#include "maps.h"

extern struct {
} events SEC(".maps"), scratch SEC(".maps"), totals SEC(".maps"), more_totals SEC(".maps"),
	overflow SEC(".maps"), keys_begun SEC(".maps"), unwritten SEC(".maps");

/* What is counted together: the end is the service's, a client's own port differs each time. */
struct count_key {
	u8 addr[16] __attribute__((aligned(8)));
	u32 netns;
	u16 port;
	u16 kind;
	u32 reason;
	/* Of a connection: who uses the service. */
	u32 user;
	/* What splits one reason further, so that one key has one cause. */
	u64 detail;
};

/* What has a key of its own, what shares it with its host, and what with all hosts: Event.key. */
#define KEY_OWN (1ull << 63)
#define KEY_HOST (1ull << 40)
#define KEY_CAUSE (1ull << 41)
#define KEY_SHARED_BITS (KEY_HOST - 1)

/* Bits of the detail: what others sent; a reset that answers no packet; the service is at the local end. */
#define KEY_PASSING (1u << 26)
#define KEY_ACTIVE (1u << 25)
#define KEY_SERVED_HERE (1u << 24)

/* As src/causes/shared/groups.ts puts connections together. */
static __always_inline void key_user(struct count_key *k, const u8 *addr)
{
	u64 words[2];

	__builtin_memcpy(words, addr, 16);
	k->user = hash_words(words, 2);
}

/* From one field after the other: a key that stays in registers is never put together. */
static __always_inline u64 hash_key(const struct count_key *k)
{
	u64 words[5];

	__builtin_memcpy(words, k->addr, 16);
	words[2] = (u64)k->netns << 32 | (u32)k->kind << 16 | k->port;
	words[3] = (u64)k->reason << 32 | k->user;
	words[4] = k->detail;
	return hash_words(words, 5) | KEY_OWN;
}

/* The same for all hosts, and for all ports and users of one. */
static __always_inline u64 cause_key(const struct count_key *k)
{
	u64 words[2] = { (u64)k->reason << 32 | k->kind, k->detail };

	return (hash_words(words, 2) & KEY_SHARED_BITS) | KEY_CAUSE;
}

static __always_inline u64 host_key(const struct count_key *k, u64 cause)
{
	u64 words[4];

	__builtin_memcpy(words, k->addr, 16);
	words[2] = k->netns;
	words[3] = cause;
	return (hash_words(words, 4) & KEY_SHARED_BITS) | KEY_HOST;
}

/* `what` is the kind of event, and above it its reason. */
static __always_inline void begin_total(struct total *t, u64 key, u64 what)
{
	t->key = key;
	t->kind = what;
	t->reason = what >> 32;
	t->told = 0;
	t->tokens = sample_burst;
	t->refilled_ns = bpf_ktime_get_ns();
	/* Last, so that who reads this first finds the place. Linux 5.10 has no more than xadd. */
	barrier();
	__c11_atomic_fetch_add((_Atomic u64 *)&totals_begun, 1, __ATOMIC_RELAXED);
}

/*
 * In the hash, where as many of its sort have room. Each CPU has its own value: zeros where another one made
 * the entry. One map for all sorts: the verifier follows what comes then once for each map.
 */
static __always_inline struct total *find_or_make(const u64 *key, u32 sort, u64 most)
{
	struct total *t = bpf_map_lookup_elem(&more_totals, key);

	if (t || more_used[sort] >= most)
		return t;
	if (!bpf_map_update_elem(&more_totals, key, (const void *)&nothing_counted, BPF_NOEXIST))
		__c11_atomic_fetch_add((_Atomic u64 *)&more_used[sort], 1, __ATOMIC_RELAXED);
	return bpf_map_lookup_elem(&more_totals, key);
}

/* Too many keys at once: then a key is counted with others, of which records are made yet. */
static __noinline __attribute__((unused)) struct total *shared_total(u64 what, u64 cause, u64 host)
{
	struct total *t = find_or_make(&host, MORE_HOSTS, MOST_HOSTS);
	u32 kind = what;

	if (!t) {
		host = cause;
		t = find_or_make(&host, MORE_CAUSES, MOST_CAUSES);
	}
	if (!t)
		return bpf_map_lookup_elem(&overflow, &kind);
	if (!t->key)
		begin_total(t, host, what);
	return t;
}

/* Each key that begins becomes a record: more than the buffer takes are none that anybody reads apart. */
#define KEYS_A_SECOND 1000
#define SECOND_NS 1000000000ull

static __always_inline bool may_begin(void)
{
	u64 now = bpf_ktime_get_ns();
	struct keys_begun *b;
	u32 zero = 0;

	b = bpf_map_lookup_elem(&keys_begun, &zero);
	if (!b)
		return false;
	if (now - b->since_ns > SECOND_NS) {
		b->since_ns = now;
		b->count = 0;
	}
	return b->count++ < KEYS_A_SECOND;
}

/* Where it has its place in the array; NULL: nowhere there, and `free` is one that it may take, or NULL. */
static __always_inline struct total *place_of(u64 hash, struct total **free)
{
	u32 slot = hash & (TOTAL_SLOTS - 1);
	struct total *t = bpf_map_lookup_elem(&totals, &slot), *other;

	*free = NULL;
	if (t && t->key == hash)
		return t;
	slot ^= 1;
	other = bpf_map_lookup_elem(&totals, &slot);
	if (other && other->key == hash)
		return other;
	if (t && t->key)
		t = other;
	if (t && !t->key)
		*free = t;
	return NULL;
}

/* NULL: nowhere has it a place of its own. */
static __noinline __attribute__((unused)) struct total *more_total(u64 hash, u64 what, u64 host)
{
	struct total *free, *t = place_of(hash, &free);

	if (t)
		return t;
	t = free ? free : bpf_map_lookup_elem(&more_totals, &hash);
	if (t && t->key)
		return t;
	if (!may_begin())
		return NULL;
	if (!t)
		t = find_or_make(&hash, MORE_OWN, MOST_OWN);
	if (!t)
		return NULL;
	begin_total(t, hash, what);
	t->host = host;
	return t;
}

/*
 * The usual place is looked at here: what is more than that has a stack of its own. Callers have little of it
 * left: all that is made of the key is made before, so that it stays in registers.
 */
static __always_inline struct total *total_of(const struct count_key *k)
{
	u64 hash = hash_key(k), cause = cause_key(k), host = host_key(k, cause);
	u64 what = (u64)k->reason << 32 | k->kind;
	u32 slot = hash & (TOTAL_SLOTS - 1);
	struct total *t = bpf_map_lookup_elem(&totals, &slot);

	if (t && t->key == hash)
		return t;
	t = more_total(hash, what, host);
	return t ? t : shared_total(what, cause, host);
}

/* Of the key that a record has. */
static __always_inline __attribute__((unused)) struct total *total_with(u64 key, u32 kind)
{
	struct total *free, *t;

	if (!key)
		return bpf_map_lookup_elem(&overflow, &kind);
	t = place_of(key, &free);
	return t ? t : bpf_map_lookup_elem(&more_totals, &key);
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
	struct total *t = total_of(k);

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
	struct scratch *s = bpf_map_lookup_elem(&scratch, &slot);

	if (s)
		s->parse.place = slot;
	return s;
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
	t->told = 1;
	t->pending = is_tokenless(t) && t->pending ? t->pending - 1 : 0;
}

/* Nobody knows yet what its key is, and it may not occur again: it is counted with its host. */
static __noinline __attribute__((unused)) int give_to_host(struct total *t)
{
	struct total *host;
	u64 key;

	if (!t || t->told || !(t->key & KEY_OWN))
		return 0;
	key = t->host;
	host = find_or_make(&key, MORE_HOSTS, MOST_HOSTS);
	if (!host)
		return 0;
	if (!host->key)
		begin_total(host, key, (u64)t->reason << 32 | t->kind);
	host->count += t->count;
	host->pending += t->pending;
	t->count = 0;
	t->pending = 0;
	t->key = 0;
	return 0;
}

/* Where the buffer is full the occurrences stay pending and go with the next record of the key. */
static __always_inline void submit(void *ctx, void *record, u64 size, struct total *t)
{
	if (!output(ctx, record, size))
		give_to_host(t);
	else if (t)
		is_told(t);
}

#endif
