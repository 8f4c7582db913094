/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A SYN or the segment that should complete a handshake, refused: the counters that moved say why. */
#ifndef TCPWHY_REFUSAL_H
#define TCPWHY_REFUSAL_H

#include "bracket.h"
#include "cookie.h"
#include "crossed.h"
#include "emit.h"
#include "expected.h"
#include "filter.h"
#include "limits.h"
#include "service.h"

#define MOVED(slot) (1u << MIB_SLOT_##slot)

/* These move for an accepted SYN too. */
#define MOVED_NO_REFUSAL \
	(MOVED(OUT_SEGS) | MOVED(OUT_RSTS) | MOVED(ATTEMPT_FAILS) | MOVED(SYNCOOKIES_RECV))

/* The listener that refused a SYN, where the hook has not got it; 0: it may be one of several. */
static __always_inline u64 refused_by(const struct brackets *b, const struct sk_buff *skb,
				      const struct segment *s, u32 moved)
{
	u64 found = find_listener(LOOKUP_REFUSAL, (const void *)b->net, s->daddr, s->dport,
				  MEMBER(skb, skb_iif));
	struct lookup *l = lookup_at(LOOKUP_REFUSAL);

	return found && l && l->group ? refusing_one(LOOKUP_REFUSAL, moved) : found;
}

/* How many it may have been, where it is not known. */
static __always_inline u32 refused_by_one_of(void)
{
	struct lookup *l = lookup_at(LOOKUP_REFUSAL);

	return l && l->one_of > 1 ? l->one_of : 0;
}

static __noinline __attribute__((unused)) int fill_fast_open(struct wire_event_syn_received *w,
							     const struct sock *listener)
{
	const struct tcp_sock *tp = (const void *)listener;

	w->body.fast_open_queue = BPF_CORE_READ(tp, inet_conn.icsk_accept_queue.fastopenq.qlen);
	w->body.fast_open_queue_max =
		BPF_CORE_READ(tp, inet_conn.icsk_accept_queue.fastopenq.max_qlen);
	return 0;
}

/* This host translates between its arrival and its listener: then neither has what was dialled. */
static __always_inline bool was_translated(const struct brackets *b, const struct segment *s)
{
	const u64 *then = (const u64 *)b->daddr[b->at & (BRACKETS - 1)];
	const u64 *now = (const u64 *)s->daddr;
	u16 port = b->dport[b->at & (BRACKETS - 1)];

	return port && (port != s->dport || then[0] != now[0] || then[1] != now[1]);
}

/*
 * What was dialled in place of the listener, in CROSSED_REFUSAL: as the SYN arrived, or as the connecting
 * socket of this very host has it.
 */
static __always_inline bool find_dialled(const struct brackets *b, const struct sk_buff *skb,
					 const struct segment *s, u32 netns)
{
	struct crossing *c;
	u32 at = b->at & (BRACKETS - 1);

	if ((s->flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return false;
	if (!was_translated(b, s))
		return remember_own_syn(skb, s, (const void *)b->net, netns, CROSSED_REFUSAL) &&
		       belongs_to(CROSSED_REFUSAL);
	c = remember_refused(skb, s, (const void *)b->net, netns, NULL, CROSSED_REFUSAL);
	if (!c)
		return false;
	__builtin_memcpy(c->flow.saddr, s->saddr, 16);
	__builtin_memcpy(c->flow.daddr, b->daddr[at], 16);
	c->flow.sport = s->sport;
	c->flow.dport = b->dport[at];
	return true;
}

/*
 * `b` is closed; `slot` names the caller's own record buffer; `listener` is NULL where the hook has not
 * got it.
 */
static __always_inline void report_refusal(void *ctx, struct brackets *b, const struct sk_buff *skb,
					   bool mixed, u32 slot, const struct sock *listener)
{
	struct count_key k = { .kind = EVENT_KIND_SYN_RECEIVED };
	struct wire_event_syn_received *e;
	u64 found = (u64)listener;
	struct segment s;
	struct total *t;
	u32 moved, one_of = 0, *listened;

	mib_moved(&b->before, &b->after, &b->moved);
	moved = *(volatile u32 *)&b->moved;
	if (moved & MOVED(SYNCOOKIES_SENT))
		cookie_sent();
	if (!(moved & ~MOVED_NO_REFUSAL) || !read_segment(skb, &s))
		return;
	k.netns = netns_of((const struct net *)b->net);
	if (!wanted_segment(k.netns, &s) &&
	    !(wanted_otherwise(k.netns) && find_dialled(b, skb, &s, k.netns) &&
	      wanted_crossing(CROSSED_REFUSAL)))
		return;
	__builtin_memcpy(k.addr, s.daddr, 16);
	k.port = s.dport;
	k.reason = moved & ~MOVED(OUT_SEGS);
	k.detail = (u64)mixed | (u64)(s.flags & (TCP_SYN | TCP_ACK | TCP_RST)) << 8;
	/* Each listener of an end has a key of its own; where there is one its key says enough. */
	listened = listened_on(s.dport);
	if (!listener && listened && *listened & LISTENED_BESIDE_OTHERS) {
		found = refused_by(b, skb, &s, moved);
		one_of = refused_by_one_of();
	}
	if (found)
		k.detail |= listener_detail((const void *)found);
	t = count(&k);
	e = t ? record_buffer(slot) : NULL;
	if (!e)
		return;
	if (!found && !one_of)
		found = refused_by(b, skb, &s, moved);
	wire_event_syn_received_init(e);
	fill_event(&e->event, k.netns, t);
	fill_packet(&e->body.packet, skb, &s, parse_area(e), true);
	e->body.packet.flow.service = SERVICE_DADDR;
	if (found) {
		fill_sock(&e->body.listener, (const void *)found);
		fill_fast_open(e, (const void *)found);
	}
	e->body.one_of = one_of;
	if (find_dialled(b, skb, &s, k.netns))
		fill_dialled(CROSSED_REFUSAL, slot);
	fill_limits(&e->body.limits, (const struct net *)b->net);
	fill_mib(&e->body.mib, &b->before, &b->after, mixed);
	submit(ctx, e, sizeof(*e), t);
}

#endif
