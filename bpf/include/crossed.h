/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An answer that came on one connection and belongs to another with the same local end. Only one that
 * the kernel refuses can be such, so only then the sockets that share its port are gone through.
 */
#ifndef TCPWHY_CROSSED_H
#define TCPWHY_CROSSED_H

#include "emit.h"
#include "filter.h"
#include "listener.h"
#include "sock.h"

/* Since sockets give a reason for what they drop, the tracepoint tells of it (Linux 5.17). */
#define REFUSALS_ARE_DROPS bpf_core_type_exists(enum skb_drop_reason)

extern struct {
} crossings SEC(".maps");

/*
 * The socket that the segment in this place belongs to, or 0. As make_crossed() verified once, and not
 * again on each way to it.
 */
u64 belongs_to(u32 place);

/* In the record of a drop, as a segment of this place: the connecting socket whose SYN it is; 0 for none. */
u32 fill_own_syn(u32 place, u32 slot);
u64 own_syn(u32 place);

/* In the record of a SYN that was refused: the connection of this place, as it was dialled. */
u32 fill_dialled(u32 place, u32 slot);

/* Whether the connection of this place, which belongs_to() has found, is asked for. */
u32 wanted_crossing(u32 place);

/*
 * Makes the record of the crossing in this place; 0 where it is none, or is only counted.
 */
u32 make_crossed(u32 place);

/* That record is written: what it stands for is told. */
u32 told_crossed(u32 place);

/* `net` is NULL where it is not known yet. */
static __always_inline struct crossing *remember_refused(const struct sk_buff *skb,
							 const struct segment *s,
							 const struct net *net, u32 netns,
							 const struct sock *sk, u32 place)
{
	struct crossing *c = bpf_map_lookup_elem(&crossings, &place);

	if (!c)
		return NULL;
	store_pointer(&c->net, net ? net : packet_net(skb, sk));
	store_pointer(&c->skb, skb);
	store_pointer(&c->sk, sk);
	c->netns = netns;
	c->segment = *s;
	return c;
}

/* A SYN, turned: what a connecting socket of its own ends would be answered. */
static __always_inline bool remember_own_syn(const struct sk_buff *skb, const struct segment *s,
					     const struct net *net, u32 netns, u32 place)
{
	struct crossing *c = remember_refused(skb, s, net, netns, NULL, place);

	if (!c)
		return false;
	__builtin_memcpy(c->segment.saddr, s->daddr, 16);
	__builtin_memcpy(c->segment.daddr, s->saddr, 16);
	c->segment.sport = s->dport;
	c->segment.dport = s->sport;
	return true;
}

/* A segment without SYN that is refused. Where it is not `asked` for, the connection that it belongs to may be. */
static __always_inline void report_crossed(void *ctx, const struct sk_buff *skb,
					   const struct segment *s, const struct net *net,
					   u32 netns, const struct sock *sk, u32 place, bool asked)
{
	struct crossing *c;
	void *record;

	if (s->flags & TCP_SYN || !(s->flags & (TCP_RST | TCP_ACK)) ||
	    !(asked || wanted_otherwise(netns)))
		return;
	c = remember_refused(skb, s, net, netns, sk, place);
	if (c)
		c->asked = asked;
	if (!c || find_listener(LOOKUP_CROSSED, (const void *)c->net, s->daddr, s->dport, 0) ||
	    !make_crossed(place))
		return;
	record = record_buffer(SCRATCH_CROSSED + place);
	if (record && output(ctx, record, sizeof(struct wire_event_crossed_reply)))
		told_crossed(place);
}

#endif
