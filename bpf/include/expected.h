/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a connection expected of the segment that it dropped. */
#ifndef TCPWHY_EXPECTED_H
#define TCPWHY_EXPECTED_H

#include "sock.h"

#define NSEC_PER_SEC 1000000000ull

/* What splits one drop reason further, so that one key has one cause. */
#define DETAIL_NEW 1u	/* it has what the socket has not got yet */
#define DETAIL_STALE 2u /* its timestamp is older than the last one */
#define DETAIL_FIRST 4u /* it begins where the peer began */

extern struct {
} checked SEC(".maps");

/* What is freed next on this CPU may be this segment, and kfree_skb not tell whose it was. */
static __always_inline void remember_checked(const struct sk_buff *skb, const void *sk)
{
	u32 zero = 0;
	struct checked *c = bpf_map_lookup_elem(&checked, &zero);

	if (!c)
		return;
	store_pointer(&c->skb, skb);
	store_pointer(&c->sk, sk);
}

/* Of segments that are not known: those of this socket that are dropped for want of room, until it checks another. */
#define NO_ROOM 1ull

static __always_inline void remember_no_room(const void *sk)
{
	u32 zero = 0;
	struct checked *c = bpf_map_lookup_elem(&checked, &zero);

	if (!c)
		return;
	c->skb = NO_ROOM;
	store_pointer(&c->sk, sk);
}

static __always_inline bool is_without_room(u32 reason)
{
	return IS_REASON(reason, SKB_DROP_REASON_PROTO_MEM) ||
	       IS_REASON(reason, SKB_DROP_REASON_TCP_OFO_QUEUE_PRUNE);
}

static __always_inline bool is_connection(u8 state)
{
	return state != TCP_LISTEN && state != TCP_NEW_SYN_RECV && state != TCP_SYN_SENT &&
	       state != TCP_TIME_WAIT && state != TCP_CLOSE;
}

/* A connection that took no timestamp has the time 0. */
static __always_inline void fill_stamp(struct wire_stamp *w, u32 tsval, u32 taken_s)
{
	if (!taken_s)
		return;
	w->tsval = tsval;
	w->age_s = (u32)(bpf_ktime_get_ns() / NSEC_PER_SEC) - taken_s;
}

static __always_inline void fill_timewait_stamp(struct wire_stamp *w, const struct sock *sk)
{
	const struct tcp_timewait_sock *tw = (const void *)sk;

	fill_stamp(w, BPF_CORE_READ(tw, tw_ts_recent), BPF_CORE_READ(tw, tw_ts_recent_stamp));
}

/* The peer has sent its FIN. */
static __always_inline bool has_finished(u8 state)
{
	return state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK || state == TCP_CLOSING;
}

/* The peer's FIN has a number of its own, which is not counted as a byte. */
static __always_inline u32 peer_isn(const struct tcp_sock *tp, u8 state)
{
	return BPF_CORE_READ(tp, rcv_nxt) - (u32)BPF_CORE_READ(tp, bytes_received) - 1 -
	       has_finished(state);
}

static __always_inline void fill_expected(struct wire_drop *w, const struct sock *sk)
{
	const struct tcp_sock *tp = (const void *)sk;
	u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	if (state == TCP_TIME_WAIT) {
		fill_timewait_stamp(&w->remembered, sk);
	} else if (is_connection(state)) {
		fill_stamp(&w->remembered, BPF_CORE_READ(tp, rx_opt.ts_recent),
			   BPF_CORE_READ(tp, rx_opt.ts_recent_stamp));
		w->window_end = BPF_CORE_READ(tp, rcv_wup) + BPF_CORE_READ(tp, rcv_wnd);
		w->peer_isn = peer_isn(tp, state);
		w->receive_memory_bytes = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);
		w->receive_buffer_bytes = BPF_CORE_READ(sk, sk_rcvbuf);
		w->since_data_ms = ms_since(BPF_CORE_READ(tp, inet_conn.icsk_ack.lrcvtime));
	} else if (state == TCP_NEW_SYN_RECV) {
		w->peer_isn = BPF_CORE_READ((const struct tcp_request_sock *)sk, rcv_isn);
	} else if (state == TCP_LISTEN) {
		w->defer_accept = BPF_CORE_READ(tp, inet_conn.icsk_accept_queue.rskq_defer_accept);
	}
}

static __always_inline bool before(u32 a, u32 b)
{
	return (__s32)(a - b) < 0;
}

/* Timestamps are looked for in `p`. */
static __always_inline bool is_stale(const struct sk_buff *skb, const struct segment *s, u32 recent,
				     struct parse *p)
{
	return read_timestamps(skb, s, p) && before(p->tsval, recent);
}

static __always_inline u32 expected_detail(const struct sock *sk, const struct sk_buff *skb,
					   const struct segment *s, struct parse *p)
{
	const struct tcp_timewait_sock *tw = (const void *)sk;
	const struct tcp_sock *tp = (const void *)sk;
	u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	u32 end = s->seq + s->payload_len + (s->flags & TCP_FIN), detail = 0, recent;

	if (state == TCP_TIME_WAIT && s->flags & TCP_SYN)
		recent = BPF_CORE_READ(tw, tw_ts_recent);
	else if (is_connection(state))
		recent = BPF_CORE_READ(tp, rx_opt.ts_recent);
	else
		return 0;
	if (is_stale(skb, s, recent, p))
		detail |= DETAIL_STALE;
	if (state == TCP_TIME_WAIT)
		return detail;
	if (before(BPF_CORE_READ(tp, rcv_nxt), end))
		detail |= DETAIL_NEW;
	if (s->flags & TCP_SYN && s->seq == peer_isn(tp, state))
		detail |= DETAIL_FIRST;
	return detail;
}

#endif
