// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Resets that a socket of this host believed. */
#include "conntrack.h"
#include "emit.h"
#include "filter.h"
#include "handshake_ttl.h"
#include "key.h"
#include "next_hop.h"
#include "sock.h"

extern struct {
} last_reset SEC(".maps");

#define RESET_STALE_NS 20000000

static __always_inline struct wire_event_reset_received *received(const struct sock *sk,
								  struct total **total)
{
	struct count_key k = { .kind = EVENT_KIND_RESET_RECEIVED };
	struct wire_event_reset_received *e;
	u32 service;

	k.netns = trusted_netns(sk);
	service = key_sock(&k, sk, MEMBER(sk, __sk_common.skc_state));
	if (filters_apply() && !wanted_sock(sk, k.netns))
		return NULL;
	*total = count(&k);
	e = *total ? record_buffer(SCRATCH_RESET_RECEIVED) : NULL;
	if (!e)
		return NULL;
	wire_event_reset_received_init(e);
	fill_event(&e->event, k.netns, *total);
	fill_trusted_sock(&e->body.sock, sk);
	e->body.sock.flow.service = service;
	e->body.handshake_ttl = handshake_ttl(&e->body.sock.flow, k.netns);
	e->body.silent_ms = silent_ms(sk);
	fill_mac_change(&e->body.mac_change, BPF_CORE_READ(sk, sk_dst_cache),
			e->body.sock.flow.daddr, k.netns);
	e->body.unused = is_unused(sk, MEMBER(sk, __sk_common.skc_state));
	e->body.answered = peer_spoke_last(sk);
	return e;
}

/* tcp_reset() got the packet too in Linux 5.12. */
ON_ENTRY(tcp_reset, reset_believed, struct sock *sk, struct sk_buff *skb)
{
	struct total *t;
	struct wire_event_reset_received *e = received(sk, &t);
	struct segment s;

	if (!e)
		return 0;
	if (read_segment(skb, &s)) {
		fill_packet(&e->body.packet, skb, &s, parse_area(e), true);
		e->body.packet.flow.service = turned(e->body.sock.flow.service);
	}
	/* By now it is translated back. */
	if (is_tracked_kernel() && MEMBER(skb, _nfct) &&
	    track(TRACKING_BELIEVED, skb, trusted_net(sk)))
		fill_believed(SCRATCH_RESET_RECEIVED);
	submit(ctx, e, sizeof(*e), t);
	return 0;
}

/* More than a SYN has data. */
#define MOST_OF_SYN 65536

/*
 * Whether this reset, as it came in, is for the socket. It may be translated since: then its number is the one
 * that comes next, or what answers a SYN has the SYN's.
 */
static __always_inline bool is_for(const struct wire_packet *reset, const struct sock *sk,
				   const struct wire_sock *w)
{
	const struct tcp_sock *tp = trusted_tcp(sk);

	if (reset->flow.dport != w->flow.sport)
		return false;
	if (w->state != TCP_SYN_SENT || !tp)
		return reset->flow.sport == w->flow.dport || reset->seq == w->rcv_nxt;
	return reset->ack_seq - MEMBER(tp, snd_una) - 1 < MOST_OF_SYN;
}

/* The packet is the reset that arrived on this CPU just before, where packet_arrives sees them. */
ON_TRACEPOINT(tcp_receive_reset, reset_received, struct sock *sk)
{
	struct total *t;
	struct wire_event_reset_received *e = received(sk, &t);
	struct last_reset *r;
	u32 zero = 0;

	if (!e)
		return 0;
	r = bpf_map_lookup_elem(&last_reset, &zero);
	if (r && bpf_ktime_get_ns() - r->ktime_ns < RESET_STALE_NS &&
	    is_for(&r->packet, sk, &e->body.sock)) {
		bpf_probe_read_kernel(&e->body.packet, sizeof(e->body.packet), &r->packet);
		e->body.packet.flow.service = turned(e->body.sock.flow.service);
	}
	submit(ctx, e, sizeof(*e), t);
	return 0;
}
