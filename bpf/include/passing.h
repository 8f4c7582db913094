/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SYNs of others that this host sends on, by an entry of connection tracking that may be an older connection's. */
#ifndef TCPWHY_PASSING_H
#define TCPWHY_PASSING_H

#include "conntrack.h"
#include "filter.h"
#include "hash.h"
#include "service.h"

extern struct {
} passed_syns SEC(".maps");

/* A SYN is sent again after longer than that; within it, it goes through several devices. */
#define SENT_AGAIN_MS 150

static __always_inline u64 syn_hash(const struct segment *s, u32 netns)
{
	const u64 *from = (const u64 *)s->saddr, *to = (const u64 *)s->daddr;
	u64 words[6] = { from[0],
			 from[1],
			 to[0],
			 to[1],
			 (u64)netns << 32 | s->seq,
			 (u64)s->sport << 16 | s->dport };

	return hash_words(words, 6);
}

/* Whether nobody has answered it, for which it is told once; at first if an open connection has its entry. */
static __always_inline bool is_to_be_told(const struct segment *s, u32 netns)
{
	u64 hash = syn_hash(s, netns), seen;
	u32 slot = hash & (PASSED_SYN_SLOTS - 1), half = hash >> 32, now, answered;
	u64 *place = bpf_map_lookup_elem(&passed_syns, &slot);

	if (!place)
		return false;
	seen = *place;
	answered = tracking_answered(TRACKING_PASSES);
	now = bpf_ktime_get_ns() / 1000000 | 1;
	if (answered >= TCP_CONNTRACK_ESTABLISHED && answered < TCP_CONNTRACK_TIME_WAIT) {
		*place = (u64)half << 32;
		return seen != (u64)half << 32;
	}
	if (seen >> 32 != half) {
		*place = (u64)half << 32 | now;
		return false;
	}
	if (!(u32)seen || now - (u32)seen < SENT_AGAIN_MS)
		return false;
	*place = (u64)half << 32;
	return true;
}

static __always_inline void passes(void *ctx, const struct sk_buff *skb, const struct segment *s)
{
	struct count_key k = { .kind = EVENT_KIND_RETRANSMIT };
	struct wire_event_retransmit *e;
	const struct net *net;
	struct total *t;

	if (!is_tracked_kernel() || !MEMBER(skb, _nfct))
		return;
	net = packet_net(skb, NULL);
	k.netns = netns_of(net);
	if (!wanted_packet(k.netns, s, skb) || !track(TRACKING_PASSES, skb, net) ||
	    !is_to_be_told(s, k.netns))
		return;
	__builtin_memcpy(k.addr, s->daddr, 16);
	k.port = s->dport;
	k.detail = KEY_PASSING ^ tracking_dialled(TRACKING_PASSES);
	t = count(&k);
	e = t ? record_buffer(SCRATCH_PASSING) : NULL;
	if (!e)
		return;
	wire_event_retransmit_init(e);
	fill_event(&e->event, k.netns, t);
	__builtin_memcpy(e->body.sock.flow.saddr, s->saddr, 16);
	__builtin_memcpy(e->body.sock.flow.daddr, s->daddr, 16);
	e->body.sock.flow.sport = s->sport;
	e->body.sock.flow.dport = s->dport;
	e->body.sock.flow.service = SERVICE_DADDR;
	e->body.syn = 1;
	e->body.passing = 1;
	fill_passing(SCRATCH_PASSING);
	submit(ctx, e, sizeof(*e), t);
}

#endif
