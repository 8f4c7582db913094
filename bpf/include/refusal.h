/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A SYN or the segment that should complete a handshake, refused: the counters that moved say why. */
#ifndef TCPWHY_REFUSAL_H
#define TCPWHY_REFUSAL_H

#include "bracket.h"
#include "cookie.h"
#include "emit.h"
#include "expected.h"
#include "filter.h"
#include "service.h"

#define MOVED(slot) (1u << MIB_SLOT_##slot)

/* These move for an accepted SYN too. */
#define MOVED_NO_REFUSAL \
	(MOVED(OUT_SEGS) | MOVED(OUT_RSTS) | MOVED(ATTEMPT_FAILS) | MOVED(SYNCOOKIES_RECV))

/* `b` is closed; `slot` names the caller's own record buffer. */
static __always_inline void report_refusal(void *ctx, struct brackets *b, const struct sk_buff *skb,
					   bool mixed, u32 slot)
{
	struct count_key k = { .kind = EVENT_KIND_SYN_RECEIVED };
	struct wire_event_syn_received *e;
	struct segment s;
	struct total *t;
	u32 moved;

	mib_moved(&b->before, &b->after, &b->moved);
	moved = *(volatile u32 *)&b->moved;
	if (moved & MOVED(SYNCOOKIES_SENT))
		cookie_sent();
	if (!(moved & ~MOVED_NO_REFUSAL) || !read_segment(skb, &s))
		return;
	k.netns = netns_of((const struct net *)b->net);
	if (!wanted_segment(k.netns, &s))
		return;
	__builtin_memcpy(k.addr, s.daddr, 16);
	k.port = s.dport;
	k.reason = moved & ~MOVED(OUT_SEGS);
	k.detail = (u64)mixed | (u64)(s.flags & (TCP_SYN | TCP_ACK | TCP_RST)) << 8;
	t = count(&k);
	e = t ? record_buffer(slot) : NULL;
	if (!e)
		return;
	wire_event_syn_received_init(e);
	fill_event(&e->event, k.netns, t);
	fill_packet(&e->body.packet, skb, &s, parse_area(e), true);
	e->body.packet.flow.service = SERVICE_DADDR;
	fill_listener(&e->body.listener, k.netns, s.daddr, s.dport);
	if (slot == SCRATCH_TIMEWAIT)
		fill_timewait_stamp(&e->body.remembered, (const void *)b->sk);
	fill_mib(&e->body.mib, &b->before, &b->after, mixed);
	submit(ctx, e, sizeof(*e), t);
}

#endif
