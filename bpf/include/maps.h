/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Everything that the programs share; defined in maps.bpf.c. */
#ifndef TCPWHY_MAPS_H
#define TCPWHY_MAPS_H

#include "kernel.h"
#include "wire.gen.h"

/* One record buffer a program: a program is never entered twice on one CPU, two different ones may be. */
enum scratch_slot {
	SCRATCH_RESET_SENT,
	SCRATCH_RESET_RECEIVED,
	SCRATCH_DROP,
	SCRATCH_REFUSED,
	SCRATCH_SYN,
	SCRATCH_REQUEST,
	SCRATCH_STATE,
	SCRATCH_RETRANSMIT_SKB,
	SCRATCH_RETRANSMIT_SYNACK,
	SCRATCH_PASSING,
	SCRATCH_RESET_SEEN,
	SCRATCH_TIMER,
	SCRATCH_ICMP,
	SCRATCH_PEER_NAME,
	/* One for each enum failing_call. */
	SCRATCH_CALL,
	SCRATCH_ITER_TCP = SCRATCH_CALL + 2,
	/* One for each enum crossing_place. */
	SCRATCH_CROSSED,
	SCRATCH_SLOTS = SCRATCH_CROSSED + 3,
};

#define MAX_OPTIONS 40

/* The longest option that is looked for: TOA with an IPv6 address. */
#define LONGEST_OPTION 20

/* src/source/toa.ts has the kinds of each. */
enum option {
	OPTION_OTHER,
	OPTION_TIMESTAMPS,
	/* A balancer's client; by kind 28, which is the user timeout too; by 253, which may be its own end. */
	OPTION_TOA,
	OPTION_TOA_28,
	OPTION_TOA_253,
	OPTION_MASK = 7,
};

/* Where TCP options are gone through: what the verifier reads from here can be any number to it. */
struct parse {
	/* With room for an option that claims to go on past the last byte. */
	u8 options[MAX_OPTIONS + LONGEST_OPTION];
	/* Bytes of options that the header has. */
	u32 len;
	u32 at;
	/* Its own in `scratch`. */
	u32 place;
	/* Where each begins; MAX_OPTIONS: nowhere. */
	u32 found[OPTION_MASK + 1];
	u32 tsval;
	u32 tsecr;
};

/* The segment whose headers a packet has: segment.h. */
struct segment {
	u8 saddr[16] __attribute__((aligned(8)));
	u8 daddr[16];
	u16 sport;
	u16 dport;
	u32 seq;
	u32 ack_seq;
	u16 window;
	u16 payload_len;
	u8 flags;
	u8 ttl;
	/* From skb->head. */
	u16 tcp_offset;
	u8 tcp_header_len;
};

/* What is large, and not on the stack for that reason. */
struct scratch {
	union wire_record record;
	struct parse parse;
	struct segment segment;
};

/* Of one key on one CPU. Userspace reads it: src/source/totals.ts. */
struct total {
	/* Hash of the key, 0: free. */
	u64 key;
	u64 count;
	/* Occurrences since the last record. */
	u64 pending;
	/* Sampling: records that may still be made, since when, and when that was last looked at. */
	u64 refilled_ns;
	u64 jiffy;
	u32 tokens;
	u32 kind;
	u32 reason;
	/* What was counted last had no token; the buffer took a record of the key. */
	u16 tokenless;
	u16 told;
	/* The key of its host, that counts all its ports and users together. */
	u64 host;
};

/* How many keys began on this CPU since. */
struct keys_begun {
	u64 since_ns;
	u64 count;
};

/* Why a record was not written; userspace reads it: src/native/perf.rs. */
enum unwritten {
	UNWRITTEN_FULL,
	/* A CPU that came online has none yet, and one that was offline has lost its own. */
	UNWRITTEN_NO_RING,
	UNWRITTEN_REASONS,
};

/* Two places a key; what finds both taken goes to a hash. None that was told of is ever given up. */
#define TOTAL_SLOTS 4096

/* What is in the hash, and how many of each: keys of their own, of hosts and of causes. */
enum more { MORE_OWN, MORE_HOSTS, MORE_CAUSES, MORE_SORTS };
#define MOST_OWN 4096
#define MOST_HOSTS 1024
#define MOST_CAUSES 512
/* Where several CPUs make the last entries at once there are a few more. */
#define MORE_TOTALS (MOST_OWN + MOST_HOSTS + MOST_CAUSES + 512)

extern u64 more_used[MORE_SORTS];

/* How often a place was taken, over all CPUs: while it stays the same, so do the places in use. */
extern u64 totals_begun;

/* Some of the listeners of a group: how many, and the last of them. */
struct suspects {
	u64 sk;
	u32 count;
	u32 unused;
};

/* A listener that is looked for in the kernel's own table: listener.bpf.c. */
struct lookup {
	u64 net;
	u8 addr[16] __attribute__((aligned(8)));
	u32 port;
	/* The device that the packet came in on; 0: whatever device a listener is bound to. */
	u32 ifindex;
	/* Found: a listener, and where it shares its end with others those. */
	u64 sk;
	u64 group;
	u32 score;
	/* How many of those may have been the one. */
	u32 one_of;
	/* What is looked at: what lies in a chain, and whether that is of any address. */
	u64 node;
	u32 any;
	/* Counters that moved, as bits of enum mib_slot. */
	u32 moved;
	/* Of those: what their queues and their counts of drops say. */
	struct suspects full;
	struct suspects dropped;
	struct suspects both;
};

/* One for each kind of program: one may interrupt another on its CPU. */
enum lookup_place {
	LOOKUP_ARRIVAL,
	LOOKUP_REFUSAL,
	LOOKUP_ANSWER,
	LOOKUP_CROSSED,
	LOOKUP_ERROR,
	LOOKUP_PLACES
};

/* Of the ports that share a slot, in any namespace: whether there has been a listener, and one that may not be alone. */
enum listened { LISTENED = 1, LISTENED_BESIDE_OTHERS = 2 };

#define LISTENED_SLOTS 4096

#define DIALLED_SLOTS 4096

/* The last connect of a process that came to nothing. */
struct failed_connect {
	u64 jiffy;
	u32 pid;
	u32 unused;
};

#define FAILED_CONNECT_SLOTS 1024

/* Where a refused segment may be found to belong to another connection. */
enum crossing_place {
	CROSSED_DROP,
	CROSSED_ANSWER,
	CROSSED_ARRIVAL,
	CROSSED_REFUSAL,
	CROSSING_PLACES,
};

/* Which end of its connection a socket is. */
enum role { ROLE_NOT_KNOWN, ROLE_DIALLED, ROLE_ACCEPTED };

/* The last: a connect() that failed has returned, after the socket was closed for that. */
enum owner_closed { OWNER_OPEN, OWNER_CLOSED, OWNER_CLOSE_RETURNED };

struct owner {
	/* The socket's address, 0: free. */
	u64 sk;
	u64 cgroup;
	char comm[16];
	/* What accept() or getpeername() showed last, where it was not the socket's own peer. */
	u8 shown_addr[16];
	u32 shown_port;
	u32 pid;
	/* enum owner_closed: known until another socket takes the place. */
	u16 closed;
	/* The state that it was closed in; 0: not known. */
	u16 closed_in;
	/* enum role */
	u8 role;
	/* 1: its process closed it as it ended; then how, as wait() tells it. */
	u8 process_ends;
	u16 exit_status;
};

/* Of a listener that is not alone, when it was looked at last. */
struct drops_seen {
	u32 drops;
	/* How many of them are what another CPU refuses at this moment, and has not looked at yet. */
	u16 others;
	u16 jiffy;
};

/* A process that has a listener open. Userspace reads it: src/source/listener-facts.ts. */
struct holder {
	u64 listener;
	u32 pid;
	u32 unused;
	char comm[16];
};

/* Two places a socket: a third one that falls on them takes the older one's. */
#define OWNER_SLOTS 131072

/* Who shows a peer. */
struct shown_peer {
	/* Hash of a local end and of the peer as a process sees it, 0: free. */
	u64 key;
	u64 sk;
};

/* Two places a key; what finds both taken goes to a hash. */
#define SHOWN_PEER_SLOTS 131072

/* A connection that a process here had closed, in `state`, and that the kernel gave up. */
struct ended {
	u64 key;
	u64 ktime_ns;
	u64 jiffy;
	u64 cgroup;
	char comm[16];
	u32 pid;
	u32 linger2;
	u8 state;
	u8 peer_closed;
	u8 timewait_full;
	/* As in struct owner. */
	u8 process_ends;
	u16 exit_status;
};

#define ENDED_SLOTS 16384

/* Where a namespace's counters lie on this CPU. */
struct mib_arrays {
	u64 linux_mib;
	u64 tcp_mib;
	u64 ip_mib;
};

enum mib_array { MIB_ARRAY_LINUX, MIB_ARRAY_TCP, MIB_ARRAY_IP };

/* Counters that lie near each other, brought by one read; filled in by src/source/mib-reads.ts. */
struct mib_read {
	u16 array;
	u16 from;
	u16 count;
	/* In mib_snapshot.words. */
	u16 to;
};

#define MIB_READS 12

/* Whose counters: all, or those that move while an ordinary listener handles a SYN, or what completes a handshake. */
enum mib_read_kind { MIB_READ_ALL, MIB_READ_SYN, MIB_READ_REQUEST, MIB_READ_KINDS };
#define MIB_WORDS 128

struct mib_snapshot {
	u64 words[MIB_WORDS];
};

#define BRACKETS 4

/* Packets of this CPU whose counters are being watched, and the counters as the last one left them. */
struct brackets {
	u64 skb[BRACKETS];
	u64 began_ns[BRACKETS];
	/* Where each was to go as it arrived; port 0: that is not known. */
	u8 daddr[BRACKETS][16];
	u16 dport[BRACKETS];
	u64 net;
	u32 mixed;
	u32 at;
	u32 moved;
	/* Of a bracketed function: whether it is open, enum mib_read_kind, the listener and its drops so far, since when. */
	u32 open;
	u32 read;
	u32 sk_drops;
	u64 sk;
	/* The half-open connection that the packet is for, 0: none. */
	u64 request;
	u64 jiffy;
	struct mib_arrays arrays;
	struct mib_snapshot before;
	struct mib_snapshot after;
};

/* Functions of TCP's timers, as sockets had them that were seen; 0: none was. */
struct tcp_timers {
	u64 write;
	u64 request;
};

/* By the hash of both ends and the namespace: the upper 48 bits of that, the TTL before, and the TTL. */
#define HANDSHAKE_TTL_SLOTS 65536
#define HANDSHAKE_TTL_KEY (~0ull << 16)

struct last_reset {
	u64 ktime_ns;
	struct wire_packet packet;
};

/* A reset that may be about to be sent: the packet, and how many were sent before. */
struct pending_reset {
	u64 sk;
	u64 skb;
	/* This CPU's OutRsts of the namespace. */
	u64 counter;
	u64 out_rsts;
	u32 netns;
	u32 unused;
	u64 jiffy;
	/* As this_cpu_distance() says. */
	u64 distance;
	/* Where the tracepoint tells of all: the packet that was answered last: that it is dropped then goes without saying. */
	u64 answered;
};

/* What is known on this CPU of cookies that failed: see cookie.h. */
struct cookie_check {
	/* The packet whose cookie failed last. */
	u64 skb;
	/* This CPU's SyncookiesFailed of the namespace of the last segment, and how often it had moved. */
	u64 counter;
	u64 failed;
	u32 netns;
	u32 unused;
};

/* The segment that a connection checked last. */
struct checked {
	u64 skb;
	u64 sk;
};

/* Where a packet is when connection tracking is asked about it: one may interrupt another on its CPU. */
enum tracking_place {
	TRACKING_DROP,
	TRACKING_ANSWER,
	TRACKING_LEAVES,
	TRACKING_PASSES,
	TRACKING_BELIEVED,
	TRACKING_PLACES,
};

/* By the hash of a SYN that was sent on: the upper half of that, and when that was, in milliseconds; 0: it is told. */
#define PASSED_SYN_SLOTS 4096

/* A packet, and what this CPU's counters of connection tracking said when they were read last. */
struct tracking {
	u64 net;
	u64 skb;
	u64 sk;
	/* skb->_nfct: its entry, and in the low bits what the packet is of it. */
	u64 entry;
	/* Read last: of which namespace. */
	u64 read_net;
	u32 read_drop;
	u32 read_insert_failed;
	/* How far they had moved. */
	u32 dropped;
	u32 insert_failed;
	u32 looked_before;
	/* Which of a namespace's data is that of connection tracking. */
	u32 net_id;
	u64 conntrack_net;
	u64 entries_max;
};

/* What was answered last on this CPU without a socket: a packet, or where only the answer is known that. */
struct last_reject {
	u64 skb;
	u64 ktime_ns;
	u32 answer;
	/* Where skb is 0: the reset, or of an ICMP error the segment that it quotes. */
	struct segment segment;
};

/* What is known of a drop where the kernel gives no reason. */
struct reasonless {
	/* The packet whose sender's address was checked last, and the errno with which it was refused. */
	u64 checked;
	u32 source_errno;
	/* Its checksum was computed and did not fit. */
	u32 damaged;
};

#define ICMP_SLOTS 4096

/* An ICMP error for a connection. */
struct icmp_seen {
	u64 ktime_ns;
	u8 from[16] __attribute__((aligned(8)));
	u32 type;
	u32 code;
	u32 seq;
	u32 unused;
};

#define NEIGHBOUR_SLOTS 1024

/* A neighbour that was asked for and did not answer. */
struct silent_neighbour {
	u64 ktime_ns;
	u32 ifindex;
	u32 unused;
	char device[16];
};

/* A neighbour's MAC as it said last, and the one before: none where `moved_ns` is 0. */
struct known_neighbour {
	u64 mac;
	u64 was;
	u64 moved_ns;
};

/*
 * Of sockets that no process has yet: what has an owner is remembered there. A reset is told of when it has
 * been sent: where its receiver is on this host, that has been closed by it meanwhile, on this CPU.
 */
#define LAST_CLOSES 512

struct last_close {
	u64 sk;
	u32 state;
};

/* Where this CPU's copy of a per-CPU variable lies; see mib.h. */
struct cpu_offset {
	u64 distance;
	u64 map_head[64];
};

#define FILTER_TARGETS 16

/* A mask of zero means any address, a port of zero any port; `group` is a bit. */
struct filter_target {
	u32 addr[4];
	u32 mask[4];
	u16 port;
	u16 group;
};

/* Filled in before loading. One target of each group has to match; no groups: there is no filter. */
extern const volatile u32 filter_netns;
extern const volatile u32 filter_count, filter_groups;
extern const volatile struct filter_target filter_targets[FILTER_TARGETS];
/* Nanoseconds between two tokens of a key, and how many there may be at once. */
extern const volatile u64 sample_interval_ns;
extern const volatile u64 sample_burst;
/* What has no token becomes a record too. */
extern const volatile bool every_record;
/* With which an entry of a hash begins. */
extern const volatile struct total nothing_counted;
/* Index of each counter of enum mib_slot in its kernel array, 0xffff where this kernel lacks it. */
extern const volatile u16 mib_index[MIB_SLOTS];
/* What to read, up to the first of no counters; where each counter is then, and how many words that is. */
extern const volatile struct mib_read mib_reads[MIB_READ_KINDS][MIB_READS];
extern const volatile u16 mib_place[MIB_SLOTS];
extern const volatile u32 mib_words;
/* More than other CPUs put into a listener's queue while a SYN is handled. */
extern const volatile u32 queued_meanwhile;
/* Which option is looked for under a kind: src/source/toa.ts. */
extern const volatile u8 option_of_kind[256];
/* Numbers of the system calls on this architecture. */
extern const volatile u32 nr_getpeername, nr_accept, nr_accept4, nr_connect, nr_bind;

#endif
