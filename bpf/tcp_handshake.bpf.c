// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The fate of a SYN where functions cannot be hooked: from its arrival to its end, with the counters
 * that moved. A refused SYN is consumed like an accepted one; only the counters tell them apart.
 */
#include "bracket.h"
#include "emit.h"
#include "filter.h"
#include "sock.h"

extern struct {
} last_reset SEC(".maps");

static const struct wire_packet packet_template = WIRE_PACKET_INIT;

static __always_inline void remember_reset(const struct sk_buff *skb, const struct segment *s,
					   u32 ifindex)
{
	u32 zero = 0;
	struct last_reset *r = bpf_map_lookup_elem(&last_reset, &zero);

	if (!r)
		return;
	bpf_probe_read_kernel(&r->packet, sizeof(r->packet), &packet_template);
	r->ktime_ns = bpf_ktime_get_ns();
	fill_packet(&r->packet, skb, s, ifindex);
}

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(packet_arrives, struct sk_buff *skb)
{
	struct segment s;
	struct net_device *dev;
	struct net *net;
	bool ipv6;

	if (!read_segment(skb, &s))
		return 0;
	dev = BPF_CORE_READ(skb, dev);
	net = BPF_CORE_READ(dev, nd_net.net);
	ipv6 = BPF_CORE_READ(skb, protocol) == bpf_htons(ETH_P_IPV6);
	if (s.flags & TCP_RST) {
		remember_reset(skb, &s, BPF_CORE_READ(dev, ifindex));
		if (find_listener(netns_of(net), s.daddr, s.dport))
			begin_bracket(skb, net, ipv6);
	} else if ((s.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		begin_bracket(skb, net, ipv6);
	}
	return 0;
}

#define MOVED(slot) (1u << MIB_SLOT_##slot)

/* These move for an accepted SYN too. */
#define MOVED_NO_REFUSAL \
	(MOVED(OUT_SEGS) | MOVED(OUT_RSTS) | MOVED(ATTEMPT_FAILS) | MOVED(SYNCOOKIES_RECV))

SEC("tp_btf/consume_skb")
int BPF_PROG(packet_consumed, struct sk_buff *skb)
{
	struct brackets *b = end_bracket(skb);
	struct wire_event_syn_received *e;
	struct count_key k = { .kind = EVENT_KIND_SYN_RECEIVED };
	struct net_device *dev;
	struct total *t;
	struct segment s;
	u32 moved;
	u64 hash, now;

	if (!b)
		return 0;
	moved = mib_moved(&b->before, &b->after);
	if (!(moved & ~MOVED_NO_REFUSAL) || !read_segment(skb, &s) || s.flags & (TCP_RST | TCP_ACK))
		goto out;
	k.netns = netns_of((const struct net *)b->net);
	if (!wanted_segment(k.netns, &s))
		goto out;
	__builtin_memcpy(k.addr, s.daddr, 16);
	k.port = s.dport;
	k.reason = moved & ~MOVED(OUT_SEGS);
	k.detail = b->mixed;
	now = bpf_ktime_get_ns();
	t = count(&k, &hash, now);
	e = record_buffer(SCRATCH_SYN);
	if (!t || !e)
		goto out;
	wire_event_syn_received_init(e);
	fill_event(&e->event, now, k.netns, hash, t);
	dev = route_device(skb);
	fill_packet(&e->body.packet, skb, &s, BPF_CORE_READ(skb, skb_iif));
	fill_listener(&e->body.listener, k.netns, s.daddr, s.dport);
	/* A device of another namespace than the counters': they are not what this SYN met. */
	fill_mib(&e->body.mib, &b->before, &b->after,
		 b->mixed || (dev && BPF_CORE_READ(dev, nd_net.net) != (void *)b->net));
	submit(ctx, e, sizeof(*e), t);
out:
	next_bracket(b);
	return 0;
}
