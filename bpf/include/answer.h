/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A packet that is answered with a reset. */
#ifndef TCPWHY_ANSWER_H
#define TCPWHY_ANSWER_H

#include "conntrack.h"
#include "cookie.h"
#include "crossed.h"
#include "emit.h"
#include "ended.h"
#include "filter.h"
#include "service.h"

static __always_inline void answer(void *ctx, const struct sock *sk, const struct sk_buff *skb,
				   u32 netns, u32 reason)
{
	struct count_key k = { .kind = EVENT_KIND_RESET_SENT, .reason = reason };
	const struct sock *dialled = NULL, *listener = NULL;
	struct wire_event_reset_sent *e = record_buffer(SCRATCH_RESET_SENT);
	u64 size = WIRE_EVENT_RESET_SENT_BRIEF;
	struct segment *s;
	struct total *t;
	const struct ended *ended = NULL;
	u32 state, ended_in = 0, service = SERVICE_DADDR;
	u32 tracked = 0;
	bool asked, cookie = false;
	u64 translated;

	if (!e)
		return;
	s = segment_area(e);
	if (!read_segment(skb, s))
		return;
	k.netns = netns;
	asked = wanted_packet(k.netns, s, skb);
	if (!asked && !wanted_otherwise(k.netns))
		return;
	k.detail = s->flags & (TCP_SYN | TCP_ACK);
	__builtin_memcpy(k.addr, s->daddr, 16);
	k.port = s->dport;
	/* Most are SYNs to where nobody listens, of which no more is to be known. */
	if (sk || k.detail != TCP_SYN) {
		state = sk ? BPF_CORE_READ(sk, __sk_common.skc_state) : 0;
		service = service_of_segment(s, packet_net(skb, sk), netns, sk, state);
		/* A socket at the packet's own address would have been found. */
		if (!sk && k.detail == (TCP_SYN | TCP_ACK) &&
		    remember_refused(skb, s, NULL, netns, NULL, CROSSED_ANSWER))
			dialled = (const void *)belongs_to(CROSSED_ANSWER);
		if (dialled && !asked)
			asked = wanted_crossing(CROSSED_ANSWER);
		report_crossed(ctx, skb, s, NULL, netns, sk, CROSSED_ANSWER, asked);
		if (!asked)
			return;
		/* A listener was found for lack of a connection; a SYN is of a new one. */
		if (!(s->flags & TCP_SYN) && (!sk || state == TCP_LISTEN || state == TCP_TIME_WAIT))
			ended = find_ended(s, k.netns);
		if (ended) {
			ended_in = ended->state;
			k.detail ^= (u64)ended_in << 32 | (u64)ended->peer_closed << 40 |
				    (u64)ended->timewait_full << 41 |
				    (u64)(s->flags & TCP_FIN) << 42;
		}
		if (state == TCP_LISTEN) {
			cookie = has_failed_cookie(skb, k.netns);
			k.detail |= listener_detail(sk);
		}
		k.detail |= (u64)(dialled != NULL) << 8 | (u64)(ended_in != 0) << 9 |
			    (u64)cookie << 10 | (u64)(s->payload_len != 0) << 11 | (u64)state << 16;
		if (service == SERVICE_DADDR) {
			k.detail |= KEY_SERVED_HERE;
			key_user(&k, s->saddr);
		} else {
			key_user(&k, s->daddr);
			__builtin_memcpy(k.addr, s->saddr, 16);
			k.port = s->sport;
		}
	} else if (!asked) {
		return;
	}
	if (!sk && track(TRACKING_ANSWER, skb, packet_net(skb, NULL))) {
		translated = tracking_dialled(TRACKING_ANSWER);
		k.detail ^= translated;
		/* A service that nobody else knows of may be one that this host translates, or did. */
		tracked = translated || !(s->flags & TCP_SYN);
	}
	t = count(&k);
	if (!t)
		return;
	/* A SYN of this very host that was translated on its way. */
	if (!sk && (s->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
	    remember_own_syn(skb, s, NULL, netns, CROSSED_ANSWER))
		dialled = (const void *)belongs_to(CROSSED_ANSWER);
	wire_event_reset_sent_init_brief(e);
	fill_event(&e->event, k.netns, t);
	e->body.reason = reason;
	fill_packet(&e->body.packet, skb, s, parse_area(e), true);
	e->body.packet.flow.service = service;
	if (!sk)
		listener = (const void *)find_listener(LOOKUP_ANSWER, packet_net(skb, NULL),
						       s->daddr, s->dport, MEMBER(skb, skb_iif));
	if (sk || dialled || listener || (ended_in | tracked)) {
		size = sizeof(*e);
		wire_event_reset_sent_init_rest(e);
		if (ended)
			fill_ended(e, ended, packet_net(skb, sk));
		e->body.syncookies_failed = cookie;
		if (sk) {
			fill_sock(&e->body.sock, sk);
			e->body.sock.flow.service = turned(service);
		}
		if (dialled) {
			fill_sock(&e->body.dialled, dialled);
			e->body.dialled.flow.service = SERVICE_DADDR;
		}
		if (listener)
			fill_sock(&e->body.listener, listener);
		if (tracked)
			fill_answered(SCRATCH_RESET_SENT);
	}
	submit(ctx, e, size, t);
}

#endif
