/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP errors that end a half-open connection: tcp_req_err() says so by a drop of the listener and by
 * nothing else. Most do not end one, and are told when it ends by its timer.
 */
#ifndef TCPWHY_REFUSED_HALF_OPEN_H
#define TCPWHY_REFUSED_HALF_OPEN_H

#include "bracket.h"
#include "emit.h"
#include "filter.h"
#include "icmp.h"
#include "service.h"

/* The error is the hook's own: its members are read directly. */
static __always_inline int error_begins(const struct sk_buff *skb)
{
	const struct net_device *dev = POINTER_MEMBER(skb, dev);

	if (remember_icmp(skb))
		begin_bracket(skb, MEMBER(dev, nd_net.net),
			      MEMBER(skb, protocol) == bpf_htons(ETH_P_IPV6), NULL);
	return 0;
}

/* `b` is closed: what moved is of this error. */
static __always_inline void error_ends(void *ctx, const struct brackets *b,
				       const struct sk_buff *skb)
{
	struct count_key k = { .kind = EVENT_KIND_STATE_CHANGE };
	struct wire_event_state_change *e;
	struct wire_sock *w;
	struct segment s;
	struct total *t;
	u64 listener;

	if (b->mixed || !read_quoted(skb, &s) ||
	    mib_value(&b->after, MIB_SLOT_LISTEN_DROPS) ==
		    mib_value(&b->before, MIB_SLOT_LISTEN_DROPS))
		return;
	k.netns = netns_of((const struct net *)b->net);
	if (!wanted_segment(k.netns, &s))
		return;
	__builtin_memcpy(k.addr, s.saddr, 16);
	k.port = s.sport;
	k.detail = TCP_NEW_SYN_RECV << 16 | KEY_SERVED_HERE | TCP_CLOSE;
	t = count(&k);
	e = t ? record_buffer(SCRATCH_ICMP) : NULL;
	if (!e)
		return;
	wire_event_state_change_init(e);
	fill_event(&e->event, k.netns, t);
	w = &e->body.sock;
	__builtin_memcpy(w->flow.saddr, s.saddr, 16);
	__builtin_memcpy(w->flow.daddr, s.daddr, 16);
	w->flow.sport = s.sport;
	w->flow.dport = s.dport;
	w->flow.service = SERVICE_SADDR;
	w->state = w->previous_state = TCP_NEW_SYN_RECV;
	listener = find_listener(LOOKUP_ERROR, (const void *)b->net, s.saddr, s.sport,
				 MEMBER(skb, skb_iif));
	if (listener)
		fill_owner(&w->owner, listener);
	e->body.old_state = TCP_NEW_SYN_RECV;
	e->body.new_state = TCP_CLOSE;
	fill_icmp(&e->body.icmp, &w->flow, k.netns);
	submit(ctx, e, sizeof(*e), t);
}

#endif
