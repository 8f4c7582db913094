// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Segments sent again: the sender saw no answer. */
#include "conntrack.h"
#include "emit.h"
#include "filter.h"
#include "service.h"

static __always_inline void retransmitted(void *ctx, const struct sock *sk,
					  const struct sock *listener, u32 slot)
{
	struct count_key k = { .kind = EVENT_KIND_RETRANSMIT };
	struct wire_event_retransmit *e = record_buffer(slot);
	struct wire_sock *w;
	struct total *t;

	if (!e)
		return;
	wire_event_retransmit_init(e);
	w = &e->body.sock;
	fill_sock(w, sk);
	k.netns = netns_of(sock_net(sk));
	if (!wanted_flow(k.netns, &w->flow))
		return;
	e->body.synack = listener != NULL;
	e->body.syn = w->state == TCP_SYN_SENT;
	if (listener)
		fill_owner(&w->owner, (u64)listener);
	__builtin_memcpy(k.addr, listener ? w->flow.saddr : w->flow.daddr, 16);
	k.port = listener ? w->flow.sport : w->flow.dport;
	k.detail = e->body.synack << 1 | e->body.syn;
	t = count(&k);
	if (!t)
		return;
	fill_event(&e->event, k.netns, t);
	if (e->body.syn && has_left_translated(sk))
		fill_retransmitted(slot);
	w->flow.service = listener ? SERVICE_SADDR : service_of_sock(sk, &w->flow);
	submit(ctx, e, sizeof(*e), t);
}

ON_TRACEPOINT(tcp_retransmit_skb, segment_retransmitted, const struct sock *sk)
{
	retransmitted(ctx, sk, NULL, SCRATCH_RETRANSMIT_SKB);
	return 0;
}

ON_TRACEPOINT(tcp_retransmit_synack, synack_retransmitted, const struct sock *sk,
	      const struct request_sock *req)
{
	retransmitted(ctx, (const struct sock *)req, sk, SCRATCH_RETRANSMIT_SYNACK);
	return 0;
}
