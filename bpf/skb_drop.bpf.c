// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* TCP segments that the kernel frees as dropped, with its reason. */
#include "bracket.h"
#include "emit.h"
#include "filter.h"
#include "sock.h"

extern struct {
} pending_reset SEC(".maps");

static __always_inline void dropped(void *ctx, const struct sk_buff *skb, void *location,
				    u32 reason, const struct sock *sk, struct brackets *b)
{
	struct count_key k = { .kind = EVENT_KIND_DROP, .reason = reason };
	struct wire_event_drop *e;
	struct segment s;
	struct total *t;

	if (!read_segment(skb, &s))
		return;
	k.netns = netns_of(packet_net(skb, sk));
	if (!wanted_segment(k.netns, &s))
		return;
	__builtin_memcpy(k.addr, s.daddr, 16);
	/* To an ephemeral port: the sender's end is what such packets have in common. */
	k.port = s.sport < s.dport ? s.sport : s.dport;
	k.detail = (u64)location ^ (u64)(s.flags & (TCP_SYN | TCP_ACK | TCP_RST)) << 48 ^
		   (u64)(sk ? BPF_CORE_READ(sk, __sk_common.skc_state) : 0) << 56;
	t = count(&k);
	e = record_buffer(SCRATCH_DROP);
	if (!t || !e)
		return;
	wire_event_drop_init(e);
	fill_event(&e->event, k.netns, t);
	e->body.reason = reason;
	e->body.location = (u64)location;
	fill_packet(&e->body.packet, skb, &s, parse_area(e));
	if (sk)
		fill_sock(&e->body.sock, sk);
	if (b)
		fill_mib(&e->body.mib, &b->before, &b->after, b->mixed);
	submit(ctx, e, sizeof(*e), t);
}

static __always_inline int ends(void *ctx, const struct sk_buff *skb, void *location, u32 reason,
				const struct sock *sk)
{
	u32 zero = 0;
	struct pending_reset *r = bpf_map_lookup_elem(&pending_reset, &zero);
	struct brackets *b;

	/* Answered with a reset a moment ago: one failure, told of already. */
	if (r && r->answered == (u64)skb) {
		r->answered = 0;
		return 0;
	}
	b = end_bracket(skb);
	dropped(ctx, skb, location, reason, sk, b);
	if (b)
		next_bracket(b);
	return 0;
}

/* The tracepoint grew twice; userspace loads the one that fits. */
ON_TRACEPOINT(kfree_skb, packet_dropped, struct sk_buff *skb, void *location, u32 reason,
	      struct sock *rx_sk)
{
	return ends(ctx, skb, location, reason, rx_sk);
}

ON_TRACEPOINT(kfree_skb, packet_dropped_without_sock, struct sk_buff *skb, void *location,
	      u32 reason)
{
	return ends(ctx, skb, location, reason, NULL);
}

ON_TRACEPOINT(kfree_skb, packet_dropped_without_reason, struct sk_buff *skb, void *location)
{
	return ends(ctx, skb, location, 0, NULL);
}
