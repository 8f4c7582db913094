// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Segments sent again: the sender saw no answer. And senders that get no further. */
#include "conntrack.h"
#include "emit.h"
#include "filter.h"
#include "service.h"
#include "timers.h"

/* Stall.what. */
enum stall { STALL_NONE, STALL_TIMEOUTS, STALL_WINDOW, STALL_HALF_OPEN };

/* From so many timeouts in a row on. */
#define STALLED_TIMEOUTS 3
/* For so long a window stays shut before it is told: many are for a moment. */
#define STALLED_MS 2500

/* Each timeout has a key of its own up to this one: each stall has it once. */
#define COUNTED_TIMEOUTS 5

static __always_inline void report(void *ctx, struct wire_event_retransmit *e,
				   const struct sock *sk, const struct sock *listener, u32 netns)
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

static __always_inline bool is_window_shut(const struct sock *sk)
{
	return !BPF_CORE_READ((const struct tcp_sock *)sk, snd_wnd) &&
	       BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_SYN_SENT;
}

static __always_inline bool waits_long(const struct sock *sk)
{
	u32 stamp = BPF_CORE_READ((const struct tcp_sock *)sk, retrans_stamp);

	return stamp && (u32)(bpf_ktime_get_ns() / 1000000) - stamp >= STALLED_MS;
}

static __always_inline struct wire_event_retransmit *begin(u32 slot, const struct sock *sk,
							   const struct sock *listener, u32 *netns)
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

ON_TRACEPOINT(tcp_retransmit_skb, segment_retransmitted, const struct sock *sk,
	      const struct sk_buff *skb)
{
	u32 netns;
	struct wire_event_retransmit *e = begin(SCRATCH_RETRANSMIT_SKB, sk, NULL, &netns);

	if (!e)
		return 0;
	e->body.syn = e->body.sock.state == TCP_SYN_SENT;
	if (e->body.syn && has_left_translated(sk))
		fill_retransmitted(SCRATCH_RETRANSMIT_SKB);
	if (!e->body.syn && e->body.sock.retransmits >= STALLED_TIMEOUTS) {
		e->body.stall.what = STALL_TIMEOUTS;
		fill_stall(e, sk);
		e->body.stall.segment_bytes = BPF_CORE_READ(skb, len);
	} else if (is_window_shut(sk) && waits_long(sk)) {
		/* It was shut while this was on its way, which is sent in place of a probe. */
		e->body.stall.what = STALL_WINDOW;
		fill_stall(e, sk);
		e->body.stall.since_ms = e->body.sock.unanswered_ms;
	}
	report(ctx, e, sk, NULL, netns);
	return 0;
}

ON_TRACEPOINT(tcp_retransmit_synack, synack_retransmitted, const struct sock *sk,
	      const struct request_sock *req)
{
	u32 netns;
	struct wire_event_retransmit *e;

	remember_request_timer(req);
	e = begin(SCRATCH_RETRANSMIT_SYNACK, (const void *)req, sk, &netns);
	if (!e)
		return 0;
	e->body.synack = 1;
	report(ctx, e, (const void *)req, sk, netns);
	return 0;
}

#define ICSK_TIME_PROBE0 3

static __always_inline void write_timer_expires(void *ctx, const struct sock *sk)
{
	const struct tcp_sock *tp = (const void *)sk;
	const struct inet_connection_sock *icsk = &tp->inet_conn;
	struct wire_event_retransmit *e;
	u32 since, netns;

	if (BPF_CORE_READ(icsk, icsk_pending) != ICSK_TIME_PROBE0 ||
	    BPF_CORE_READ(tp, snd_una) + BPF_CORE_READ(tp, snd_wnd) != BPF_CORE_READ(tp, snd_nxt))
		return;
	if (!bpf_core_field_exists(struct inet_connection_sock, icsk_probes_tstamp))
		return;
	since = BPF_CORE_READ(icsk, icsk_probes_tstamp);
	since = since ? ms_since(since) : 0;
	if (since < STALLED_MS)
		return;
	e = begin(SCRATCH_TIMER, sk, NULL, &netns);
	if (!e)
		return;
	e->body.stall.what = STALL_WINDOW;
	e->body.stall.since_ms = since;
	fill_stall(e, sk);
	report(ctx, e, sk, NULL, netns);
}

#define MOST_RETRIES_CUT 8

/* As often as reqsk_timer_handler() sends a SYN-ACK again. */
static __always_inline u32 synack_retries(const struct sock *listener)
{
	const struct tcp_sock *tp = (const void *)listener;
	const struct net *net = sock_net(listener);
	u32 retries = BPF_CORE_READ(tp, inet_conn.icsk_syn_retries);
	u32 queue = BPF_CORE_READ(tp, inet_conn.icsk_accept_queue.qlen.counter);
	u32 young = BPF_CORE_READ(tp, inet_conn.icsk_accept_queue.young.counter) * 2;
	u32 room = BPF_CORE_READ(listener, sk_max_ack_backlog);

	if (!retries)
		retries = BPF_CORE_READ_BITFIELD_PROBED(net, ipv4.sysctl_tcp_synack_retries);
	if (queue * 2 <= (room > 8 ? room : 8))
		return retries;
	for (int i = 0; i < MOST_RETRIES_CUT; i++) {
		if (retries <= 2 || queue < young)
			break;
		retries--;
		young *= 2;
	}
	return retries;
}

/* A third ACK that came is not missing, even where there was no room for it, or data is waited for. */
static __always_inline void request_timer_expires(void *ctx, const struct request_sock *req)
{
	const struct sock *listener = BPF_CORE_READ(req, __req_common.skc_listener);
	const struct inet_request_sock *inet = (const void *)req;
	const struct tcp_request_sock *tcp = (const void *)req;
	struct wire_event_retransmit *e;
	u32 netns;

	if (!listener || BPF_CORE_READ(listener, __sk_common.skc_state) != TCP_LISTEN ||
	    BPF_CORE_READ_BITFIELD_PROBED(inet, acked) ||
	    BPF_CORE_READ_BITFIELD_PROBED(req, num_timeout) < synack_retries(listener))
		return;
	e = begin(SCRATCH_TIMER, (const void *)req, listener, &netns);
	if (!e)
		return;
	e->body.stall.what = STALL_HALF_OPEN;
	e->body.stall.since_ms =
		(bpf_ktime_get_ns() / 1000 - BPF_CORE_READ(tcp, snt_synack)) / 1000;
	e->body.stall.synacks = BPF_CORE_READ(req, num_retrans) + 1;
	report(ctx, e, (const void *)req, listener, netns);
}

/* Arithmetic on a kernel pointer, which the verifier does not allow. */
static __always_inline const void *around(const struct timer_list *timer, u32 offset)
{
	struct scratch *s = record_buffer(SCRATCH_TIMER);
	u64 *at = s ? (u64 *)&s->segment : NULL;

	return at ? (const void *)(pointer_value(at, timer) - offset) : NULL;
}

/* Every timer of the host comes here: those that are not TCP's are done with at once. */
ON_TRACEPOINT(timer_expire_entry, timer_expires, struct timer_list *timer)
{
	u64 function = (u64)MEMBER(timer, function);
	struct tcp_timers *known = known_timers();
	const void *at;

	if (!known || !function)
		return 0;
	if (function == known->write) {
		at = around(timer,
			    TIMER_IN_SOCK ? bpf_core_field_offset(struct sock, tcp_retransmit_timer)
					  : bpf_core_field_offset(struct inet_connection_sock,
								  icsk_retransmit_timer));
		if (at)
			write_timer_expires(ctx, at);
	} else if (function == known->request) {
		at = around(timer, bpf_core_field_offset(struct request_sock, rsk_timer));
		if (at)
			request_timer_expires(ctx, at);
	}
	return 0;
}
