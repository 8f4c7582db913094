// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The fate of a SYN where functions cannot be hooked: from its arrival to its end, with the counters
 * that moved. A refused SYN is consumed like an accepted one; only the counters tell them apart.
 */
#include "crossed.h"
#include "handshake_ttl.h"
#include "listener.h"
#include "refusal.h"
#include "refused_half_open.h"

extern struct {
} last_reset SEC(".maps");

static const struct wire_packet packet_template = WIRE_PACKET_INIT;

static __always_inline void remember_reset(const struct sk_buff *skb, const struct segment *s)
{
	u32 zero = 0;
	struct last_reset *r = bpf_map_lookup_elem(&last_reset, &zero);
	void *area = record_buffer(SCRATCH_RESET_SEEN);

	if (!r || !area)
		return;
	bpf_probe_read_kernel(&r->packet, sizeof(r->packet), &packet_template);
	r->ktime_ns = bpf_ktime_get_ns();
	fill_packet(&r->packet, skb, s, parse_area(area), true);
}

static __always_inline void opens(void *ctx, const struct sk_buff *skb)
{
	const struct net_device *dev = POINTER_MEMBER(skb, dev);
	const struct net *net = MEMBER(dev, nd_net.net);
	bool ipv6 = MEMBER(skb, protocol) == bpf_htons(ETH_P_IPV6);
	struct segment s;

	if (!read_segment(skb, &s))
		return;
	if (s.flags & TCP_RST) {
		remember_reset(skb, &s);
		if (!REFUSALS_ARE_DROPS)
			report_crossed(ctx, skb, &s, net, MEMBER(net, ns.inum), NULL,
				       CROSSED_ARRIVAL, wanted_segment(MEMBER(net, ns.inum), &s));
		if (find_listener(LOOKUP_ARRIVAL, net, s.daddr, s.dport, 0))
			begin_bracket(skb, net, ipv6, &s);
	} else if (s.flags & TCP_SYN) {
		remember_handshake_ttl(&s, MEMBER(net, ns.inum));
		if (!(s.flags & TCP_ACK))
			begin_bracket(skb, net, ipv6, &s);
	} else if (s.flags & TCP_ACK) {
		watch_cookie(net);
	}
}

/* Every packet comes here: those that neither begin nor reset a connection, nor tell of one, are done with at once. */
ON_TRACEPOINT(netif_receive_skb, packet_arrives, struct sk_buff *skb)
{
	u16 flags = tcp_flags(skb);

	if (flags == ICMP_ERROR)
		error_begins(skb);
	else if (flags & (TCP_SYN | TCP_RST) || (flags & TCP_ACK && cookies_were_sent()))
		opens(ctx, skb);
	return 0;
}

ON_TRACEPOINT(consume_skb, packet_consumed, struct sk_buff *skb)
{
	struct brackets *b = end_bracket(skb);
	struct net_device *dev;
	u16 flags;

	if (!b)
		return 0;
	flags = tcp_flags(skb);
	if (flags == ICMP_ERROR)
		error_ends(ctx, b, skb);
	/* A SYN that was queued and freed elsewhere left its place in memory to this segment. */
	if (!(flags & (TCP_SYN | TCP_RST))) {
		next_bracket(b);
		return 0;
	}
	/* A device of another namespace than the counters': they are not what this SYN met. */
	dev = route_device(skb);
	report_refusal(ctx, b, skb,
		       b->mixed || (dev && BPF_CORE_READ(dev, nd_net.net) != (void *)b->net),
		       SCRATCH_SYN, NULL);
	next_bracket(b);
	return 0;
}
