/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records of senders that saw no answer, and of those that get no further. */
#ifndef TCPWHY_STALL_H
#define TCPWHY_STALL_H

#include "emit.h"
#include "filter.h"
#include "service.h"
#include "timers.h"

/* Stall.what. */
enum stall { STALL_NONE, STALL_TIMEOUTS, STALL_WINDOW, STALL_HALF_OPEN, STALL_ACKNOWLEDGED };

/* From so many timeouts in a row on. */
#define STALLED_TIMEOUTS 3
/* For so long a window stays shut before it is told: many are for a moment. */
#define STALLED_MS 2500

/* Each timeout has a key of its own up to this one: each stall has it once. */
#define COUNTED_TIMEOUTS 5

static __always_inline void report_retransmit(void *ctx, struct wire_event_retransmit *e,
					      const struct sock *sk, const struct sock *listener,
					      u32 netns)
{
	struct count_key k = { .kind = EVENT_KIND_RETRANSMIT, .netns = netns };
	struct wire_sock *w = &e->body.sock;
	struct total *t;
	u32 times = w->retransmits < COUNTED_TIMEOUTS ? w->retransmits : COUNTED_TIMEOUTS;

	__builtin_memcpy(k.addr, listener ? w->flow.saddr : w->flow.daddr, 16);
	k.port = listener ? w->flow.sport : w->flow.dport;
	k.detail = e->body.synack << 1 | e->body.syn | e->body.stall.what << 2;
	if (e->body.stall.what == STALL_TIMEOUTS)
		k.detail |= times << 4;
	t = count(&k);
	if (!t)
		return;
	fill_event(&e->event, netns, t);
	w->flow.service = listener ? SERVICE_SADDR : service_of_sock(sk, &w->flow);
	submit(ctx, e, sizeof(*e), t);
}

/* What a full socket waits for. */
static __always_inline void fill_stall(struct wire_event_retransmit *e, const struct sock *sk)
{
	const struct tcp_sock *tp = (const void *)sk;
	struct wire_stall *w = &e->body.stall;

	fill_patience(&e->body.sock, sk);
	w->mss = BPF_CORE_READ(tp, mss_cache);
	w->acked_bytes = BPF_CORE_READ(tp, bytes_acked);
	w->sacked = BPF_CORE_READ(tp, sacked_out);
	w->path_mtu = BPF_CORE_READ(tp, inet_conn.icsk_pmtu_cookie);
	w->silent_ms = silent_ms(sk);
}

static __always_inline struct wire_event_retransmit *
begin_retransmit(u32 slot, const struct sock *sk, const struct sock *listener, u32 *netns)
{
	struct wire_event_retransmit *e = record_buffer(slot);
	struct wire_sock *w;

	if (!e)
		return NULL;
	wire_event_retransmit_init(e);
	w = &e->body.sock;
	fill_sock(w, sk);
	*netns = netns_of(sock_net(sk));
	if (!wanted_flow(*netns, &w->flow))
		return NULL;
	if (listener)
		fill_owner(&w->owner, (u64)listener);
	return e;
}

#endif
