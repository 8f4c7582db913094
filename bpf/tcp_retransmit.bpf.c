// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Segments sent again: the sender saw no answer. */
#include "conntrack.h"
#include "stall.h"

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

ON_TRACEPOINT(tcp_retransmit_skb, segment_retransmitted, const struct sock *sk,
	      const struct sk_buff *skb)
{
	u32 netns;
	struct wire_event_retransmit *e =
		begin_retransmit(SCRATCH_RETRANSMIT_SKB, sk, NULL, &netns);

	if (!e)
		return 0;
	e->body.syn = e->body.sock.state == TCP_SYN_SENT;
	if (e->body.syn && has_left_tracked(sk))
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
	report_retransmit(ctx, e, sk, NULL, netns);
	return 0;
}

ON_TRACEPOINT(tcp_retransmit_synack, synack_retransmitted, const struct sock *sk,
	      const struct request_sock *req)
{
	u32 netns;
	struct wire_event_retransmit *e;

	remember_request_timer(req);
	e = begin_retransmit(SCRATCH_RETRANSMIT_SYNACK, (const void *)req, sk, &netns);
	if (!e)
		return 0;
	e->body.synack = 1;
	report_retransmit(ctx, e, (const void *)req, sk, netns);
	return 0;
}
