// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Timers that TCP waits by: of windows that stay shut, and of half-open connections that nobody completes. */
#include "icmp.h"
#include "stall.h"

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
	e = begin_retransmit(SCRATCH_TIMER, sk, NULL, &netns);
	if (!e)
		return;
	e->body.stall.what = STALL_WINDOW;
	e->body.stall.since_ms = since;
	fill_stall(e, sk);
	report_retransmit(ctx, e, sk, NULL, netns);
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

/* Where data is waited for, what was acknowledged is kept for as long as that goes on. */
static __always_inline u32 timeouts_until_end(const struct sock *listener, bool acked, u32 deferred)
{
	u32 retries = synack_retries(listener);

	return acked && deferred > retries ? deferred : retries;
}

/* A third ACK that came is not missing, even where there was no room for it, or data is waited for. */
static __always_inline void request_timer_expires(void *ctx, const struct request_sock *req)
{
	const struct sock *listener = BPF_CORE_READ(req, __req_common.skc_listener);
	const struct inet_request_sock *inet = (const void *)req;
	const struct tcp_request_sock *tcp = (const void *)req;
	struct wire_event_retransmit *e;
	u32 netns, deferred;
	bool acked = BPF_CORE_READ_BITFIELD_PROBED(inet, acked);

	if (!listener || BPF_CORE_READ(listener, __sk_common.skc_state) != TCP_LISTEN)
		return;
	deferred = BPF_CORE_READ((const struct tcp_sock *)listener,
				 inet_conn.icsk_accept_queue.rskq_defer_accept);
	if (BPF_CORE_READ_BITFIELD_PROBED(req, num_timeout) <
	    timeouts_until_end(listener, acked, deferred))
		return;
	e = begin_retransmit(SCRATCH_TIMER, (const void *)req, listener, &netns);
	if (!e)
		return;
	e->body.stall.what = acked ? STALL_ACKNOWLEDGED : STALL_HALF_OPEN;
	e->body.stall.isn = BPF_CORE_READ(tcp, snt_isn);
	e->body.stall.defer_accept = deferred;
	e->body.stall.since_ms =
		(bpf_ktime_get_ns() / 1000 - BPF_CORE_READ(tcp, snt_synack)) / 1000;
	e->body.stall.synacks = BPF_CORE_READ(req, num_retrans) + 1;
	fill_icmp(&e->body.icmp, &e->body.sock.flow, netns);
	report_retransmit(ctx, e, (const void *)req, listener, netns);
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
