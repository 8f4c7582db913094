// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Every map and every setting; the other files declare them extern where they use them. */
#include "segment.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile u32 filter_netns = 0;
const volatile u32 filter_count = 0, filter_groups = 0;
const volatile struct filter_target filter_targets[FILTER_TARGETS] = {};
const volatile u64 sample_interval_ns = 1;
const volatile u64 sample_burst = 0;
const volatile bool every_record = false;
const volatile struct total nothing_counted = {};
const volatile u16 mib_index[MIB_SLOTS] = {};
const volatile struct mib_read mib_reads[MIB_READ_KINDS][MIB_READS] = {};
const volatile u16 mib_place[MIB_SLOTS] = {};
const volatile u32 mib_words = 0;
const volatile u32 queued_meanwhile = 0;
const volatile u8 option_of_kind[256] = {};
const volatile u32 nr_getpeername = 0, nr_accept = 0, nr_accept4 = 0, nr_connect = 0, nr_bind = 0;

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
} events SEC(".maps");

/* Records of which the buffer took nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, UNWRITTEN_REASONS);
	__type(key, u32);
	__type(value, u64);
} unwritten SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_SLOTS);
	__type(key, u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TOTAL_SLOTS);
	__type(key, u32);
	__type(value, struct total);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, MORE_TOTALS);
	__type(key, u64);
	__type(value, struct total);
} more_totals SEC(".maps");

u64 more_used[MORE_SORTS] SEC(".data.more_used") = {};
u64 totals_begun SEC(".data.totals_begun") = 0;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct keys_begun);
} keys_begun SEC(".maps");

/* What found no room there either, by kind. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 128);
	__type(key, u32);
	__type(value, struct total);
} overflow SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOOKUP_PLACES);
	__type(key, u32);
	__type(value, struct lookup);
} lookups SEC(".maps");

/* What had been counted in sk_drops, by listener. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, struct drops_seen);
} drops_before SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LISTENED_SLOTS);
	__type(key, u32);
	__type(value, u32);
} listened SEC(".maps");

/* By namespace and port: where somebody listened. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, u8);
} served_ports SEC(".maps");

/* Namespace and remote port of connects from here. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DIALLED_SLOTS);
	__type(key, u32);
	__type(value, u64);
} dialled_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} hashinfo SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FAILED_CONNECT_SLOTS);
	__type(key, u32);
	__type(value, struct failed_connect);
} failed_connects SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CROSSING_PLACES);
	__type(key, u32);
	__type(value, struct crossing);
} crossings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OWNER_SLOTS);
	__type(key, u32);
	__type(value, struct owner);
} owners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHOWN_PEER_SLOTS);
	__type(key, u32);
	__type(value, struct shown_peer);
} shown_peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, u64);
} more_shown_peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ENDED_SLOTS);
	__type(key, u32);
	__type(value, struct ended);
} ended SEC(".maps");

/* Sockets that found no room: in owners (0), in shown_peers (1). */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, u64);
} untracked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct brackets);
} brackets SEC(".maps");

/* Of the function that handles a SYN or what completes a handshake. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct brackets);
} handshakes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct last_reset);
} last_reset SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct tcp_timers);
} tcp_timers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HANDSHAKE_TTL_SLOTS);
	__type(key, u32);
	__type(value, u64);
} handshake_ttls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct pending_reset);
} pending_reset SEC(".maps");

/* By namespace and address. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, NEIGHBOUR_SLOTS);
	__type(key, u64);
	__type(value, struct silent_neighbour);
} silent_neighbours SEC(".maps");

/* By address and namespace. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, NEIGHBOUR_SLOTS);
	__type(key, u64);
	__type(value, struct known_neighbour);
} known_neighbours SEC(".maps");

/* By namespace and both ends, and by namespace and sequence number: the last ICMP error for a connection. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, ICMP_SLOTS);
	__type(key, u64);
	__type(value, struct icmp_seen);
} icmp_errors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LAST_CLOSES);
	__type(key, u32);
	__type(value, struct last_close);
} last_close SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct last_reject);
} last_reject SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cpu_offset);
} cpu_offset SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct checked);
} checked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cookie_check);
} cookie_check SEC(".maps");

/* When any listener sent a SYN cookie last. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} cookies_sent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct reasonless);
} reasonless SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PASSED_SYN_SLOTS);
	__type(key, u32);
	__type(value, u64);
} passed_syns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TRACKING_PLACES);
	__type(key, u32);
	__type(value, struct tracking);
} trackings SEC(".maps");
