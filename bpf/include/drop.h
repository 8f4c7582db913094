/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tells of a TCP segment that was dropped. */
#ifndef TCPWHY_DROP_H
#define TCPWHY_DROP_H

#include "arrival.h"
#include "bracket.h"
#include "conntrack.h"
#include "crossed.h"
#include "emit.h"
#include "expected.h"
#include "filter.h"
#include "listener.h"
#include "next_hop.h"
#include "reject.h"
#include "route.h"
#include "service.h"
#include "socket_programs.h"

extern struct {
} reasonless SEC(".maps");

/* Looked up where it is used: the verifier would follow every value that was read before. */
static __always_inline const struct reasonless *known_without_reason(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&reasonless, &zero);
}

static __always_inline bool is_syn(const struct segment *s)
{
	return (s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

/* Whether netfilter dropped it, as far as the reason tells. */
static __always_inline bool may_be_by_netfilter(u32 reason, bool no_reason)
{
	if (no_reason)
		return true;
	return IS_REASON(reason, SKB_DROP_REASON_NETFILTER_DROP);
}

static __noinline __attribute__((unused)) int fill_route(struct wire_drop *w,
							 const struct sk_buff *skb)
{
	const struct dst_entry *dst = (void *)(BPF_CORE_READ(skb, _skb_refdst) & ~7UL);
	int error;

	if (!dst)
		return 0;
	/* Positive for IPv4, negative for IPv6. */
	error = BPF_CORE_READ(dst, error);
	w->route_errno = error < 0 ? -error : error;
	if (!w->route_errno)
		fill_next_hop(&w->next_hop, dst, w->packet.flow.daddr);
	return 0;
}

/* `slot` names the caller's own record buffer; `no_reason`: what `reasonless` holds is of this drop. */
static __always_inline void dropped(void *ctx, u32 slot, const struct sk_buff *skb, void *location,
				    u32 reason, const struct sock *sk, struct brackets *b,
				    bool no_reason)
{
	struct count_key k = { .kind = EVENT_KIND_DROP, .reason = reason };
	struct wire_event_drop *e = record_buffer(slot);
	const struct net *net;
	struct segment *s;
	struct total *t;
	const struct reasonless *known;
	u32 rejected, service, state;
	u64 route, packet;
	bool asked;

	if (!e)
		return;
	s = segment_area(e);
	if (!read_segment(skb, s))
		return;
	net = packet_net(skb, sk);
	k.netns = netns_of(net);
	asked = wanted_packet(k.netns, s, skb);
	if (REFUSALS_ARE_DROPS && slot == SCRATCH_DROP)
		report_crossed(ctx, skb, s, net, k.netns, sk, CROSSED_DROP, asked);
	if (!asked)
		return;
	state = sk ? BPF_CORE_READ(sk, __sk_common.skc_state) : 0;
	service = service_of_segment(s, net, k.netns, sk, state);
	__builtin_memcpy(k.addr, s->daddr, 16);
	/* To a client: the sender's port is what such packets have in common. */
	k.port = port_of(service, s->sport, s->dport);
	k.detail = (u64)location ^ (u64)(s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) << 48 ^
		   (u64)state << 56;
	known = no_reason ? known_without_reason() : NULL;
	if (known)
		k.detail ^= (u64)known->damaged << 44 ^ (u64)known->source_errno << 32;
	rejected = sk ? ANSWER_NONE : reject_answer(skb, s);
	k.detail ^= (u64)rejected << 45;
	if (!sk && track(TRACKING_DROP, skb, net) && may_be_by_netfilter(reason, no_reason))
		k.detail ^= (u64)tracking_detail(TRACKING_DROP) << 36;
	if (!sk && is_syn(s) && remember_own_syn(skb, s, net, k.netns, CROSSED_DROP))
		k.detail ^= own_syn(CROSSED_DROP) > 1 ? 1ull << 39 : 0;
	if (sk)
		k.detail ^= (u64)expected_detail(sk, skb, s, parse_area(e)) << 40;
	if (sk && BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN && may_share_end(sk)) {
		k.detail ^= listener_detail(sk);
		note_drops(sk);
	}
	t = count(&k);
	if (!t)
		return;
	wire_event_drop_init(e);
	fill_event(&e->event, k.netns, t);
	e->body.reason = reason;
	e->body.location = (u64)location;
	e->body.rejected = rejected;
	fill_programs(&e->body, skb, sk, reason);
	fill_packet(&e->body.packet, skb, s, parse_area(e), true);
	e->body.packet.flow.service = service;
	known = no_reason ? known_without_reason() : NULL;
	if (known) {
		e->body.packet.checksum_failed = known->damaged;
		e->body.source_errno = known->source_errno;
	}
	if (sk) {
		fill_sock(&e->body.sock, sk);
		e->body.sock.flow.service = turned(service);
		fill_expected(&e->body, sk);
	} else {
		fill_route(&e->body, skb);
		/* The segment has been told: its place is free. */
		packet = pointer_value((u64 *)s->saddr, skb);
		fill_arrival(packet, slot);
		route = route_of(packet);
		e->body.route_ifindex = route;
		e->body.route_mtu = route >> 32;
	}
	if (!sk && is_tracked_kernel())
		fill_dropped(slot);
	if (!sk && is_syn(s))
		fill_own_syn(CROSSED_DROP, slot);
	if (b)
		fill_mib(&e->body.mib, &b->before, &b->after, b->mixed);
	submit(ctx, e, sizeof(*e), t);
}

#endif
