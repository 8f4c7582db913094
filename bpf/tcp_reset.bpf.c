// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Resets that this host sends. */
#include "crossed.h"
#include "dial.h"
#include "emit.h"
#include "ended.h"
#include "filter.h"
#include "mib.h"
#include "sock.h"

extern struct {
} pending_reset SEC(".maps");

/*
 * The connecting socket that waits for exactly this SYN-ACK, at another address than the packet's.
 * By snd_una: snd_nxt is set when the SYN has left, and on one host the answer is faster.
 */
static __always_inline const struct sock *dialled_by(const struct segment *s, u32 netns)
{
	u64 key = dial_key(s->daddr, s->dport, netns, s->ack_seq);
	u32 slot = key & (DIAL_SLOTS - 1);
	struct dial *d = bpf_map_lookup_elem(&dials, &slot);
	const struct sock *sk;

	if (!d || d->key != key)
		return NULL;
	sk = (const void *)d->sk;
	if (BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_SYN_SENT ||
	    BPF_CORE_READ(sk, __sk_common.skc_num) != s->dport ||
	    BPF_CORE_READ((const struct tcp_sock *)sk, snd_una) + 1 != s->ack_seq)
		return NULL;
	return sk;
}

static __always_inline void answer(void *ctx, const struct sock *sk, const struct sk_buff *skb,
				   u32 netns, u32 reason)
{
	struct count_key k = { .kind = EVENT_KIND_RESET_SENT, .reason = reason };
	const struct sock *dialled = NULL;
	struct wire_event_reset_sent *e;
	struct segment s;
	struct total *t;
	u32 since_end = 0;

	if (!read_segment(skb, &s))
		return;
	k.netns = netns;
	if (!wanted_segment(k.netns, &s))
		return;
	if (!sk && (s.flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
		dialled = dialled_by(&s, k.netns);
	report_crossed(ctx, skb, &s, packet_net(skb, sk), netns, sk, CROSSED_ANSWER);
	__builtin_memcpy(k.addr, s.daddr, 16);
	k.port = s.dport;
	k.detail = (u64)(s.flags & (TCP_SYN | TCP_ACK)) | (u64)(dialled != NULL) << 8 |
		   (u64)(sk ? BPF_CORE_READ(sk, __sk_common.skc_state) : 0) << 16;
	/* A listener was found for lack of a connection; a SYN is of a new one. */
	if (!(s.flags & TCP_SYN) && (!sk || BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN))
		since_end = since_end_ms(&s, k.netns);
	k.detail |= (u64)(since_end != 0) << 9;
	t = count(&k);
	e = record_buffer(SCRATCH_RESET_SENT);
	if (!t || !e)
		return;
	wire_event_reset_sent_init(e);
	fill_event(&e->event, k.netns, t);
	e->body.reason = reason;
	e->body.since_end_ms = since_end;
	fill_packet(&e->body.packet, skb, &s, parse_area(e));
	if (sk)
		fill_sock(&e->body.sock, sk);
	if (dialled)
		fill_sock(&e->body.dialled, dialled);
	if (!sk)
		fill_listener(&e->body.listener, k.netns, s.daddr, s.dport);
	submit(ctx, e, sizeof(*e), t);
}

/* The program, its trampoline and the tracepoint's own function. */
#define STACK_SKIP 2

static __always_inline void active(void *ctx, const struct sock *sk, u32 reason)
{
	struct count_key k = { .kind = EVENT_KIND_RESET_SENT, .reason = reason };
	u64 linger = MEMBER(sk, __sk_common.skc_flags) >> SOCK_LINGER_BIT & 1;
	struct wire_event_reset_sent *e;
	struct total *t;

	k.netns = trusted_netns(sk);
	if (filters_apply() && !wanted_sock(sk, k.netns))
		return;
	trusted_local(sk, k.addr);
	k.port = trusted_local_port(sk);
	k.detail = 1ull << 32 | linger << 8 | previous_state(sk, MEMBER(sk, __sk_common.skc_state));
	t = count(&k);
	e = record_buffer(SCRATCH_RESET_SENT);
	if (!t || !e)
		return;
	wire_event_reset_sent_init(e);
	fill_sock(&e->body.sock, sk);
	fill_event(&e->event, k.netns, t);
	e->body.reason = reason;
	fill_patience(&e->body.sock, sk);
	/*
	 * close(), disconnect() and the end of a process run for the process itself, and close the socket
	 * first; timers and ss -K reset before they close.
	 */
	if (!e->body.sock.owner.pid && e->body.sock.state == TCP_CLOSE)
		fill_current(&e->body.sock.owner);
	bpf_get_stack(ctx, e->body.stack, sizeof(e->body.stack), STACK_SKIP);
	submit(ctx, e, sizeof(*e), t);
}

/* Complete from Linux 6.10; before, it is silent where there is no full socket. */
ON_TRACEPOINT(tcp_send_reset, reset_sent, const struct sock *sk, const struct sk_buff *skb,
	      u32 reason)
{
	u32 zero = 0;
	struct pending_reset *r = bpf_map_lookup_elem(&pending_reset, &zero);

	if (skb && r)
		r->answered = (u64)skb;
	if (skb)
		answer(ctx, sk, skb, netns_of(packet_net(skb, sk)), reason);
	else if (sk)
		active(ctx, sk, reason);
	return 0;
}

/* The same before 6.10: answers are told of by the functions below, without its gaps. */
ON_TRACEPOINT(tcp_send_reset, active_reset_sent, const struct sock *sk, const struct sk_buff *skb)
{
	if (sk && !skb)
		active(ctx, sk, 0);
	return 0;
}

static __always_inline u64 read_counter(u64 address)
{
	u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (const void *)address);
	return value;
}

/* Entered does not mean sent: it was, where OutRsts moved. */
static __always_inline int answer_begins(const struct sock *sk, const struct sk_buff *skb)
{
	const struct net_device *dev;
	const struct net *net;
	struct pending_reset *r;
	u32 zero = 0;

	r = bpf_map_lookup_elem(&pending_reset, &zero);
	if (!r)
		return 0;
	if (!r->distance)
		r->distance = this_cpu_distance();
	/* Without a socket the packet still has its device. */
	if (sk) {
		net = MEMBER(sk, __sk_common.skc_net.net);
	} else {
		dev = MEMBER(skb, dev);
		net = MEMBER(dev, nd_net.net);
	}
	r->sk = (u64)sk;
	r->skb = (u64)skb;
	r->netns = MEMBER(net, ns.inum);
	/* Through memory: the verifier allows no arithmetic on a kernel pointer. */
	*(volatile u64 *)&r->counter = (u64)MEMBER(net, mib.tcp_statistics);
	r->counter = *(volatile u64 *)&r->counter + r->distance + mib_index[MIB_SLOT_OUT_RSTS] * 8;
	r->out_rsts = read_counter(r->counter);
	return 0;
}

static __always_inline __attribute__((unused)) u64 answering(bool socket)
{
	u32 zero = 0;
	struct pending_reset *r = bpf_map_lookup_elem(&pending_reset, &zero);

	return !r ? 0 : socket ? r->sk : r->skb;
}

static __always_inline int answer_ends(void *ctx, const struct sock *sk, const struct sk_buff *skb)
{
	u32 zero = 0;
	struct pending_reset *r = bpf_map_lookup_elem(&pending_reset, &zero);

	if (!r || r->skb != (u64)skb)
		return 0;
	r->skb = 0;
	r->answered = (u64)skb;
	if (read_counter(r->counter) != r->out_rsts)
		answer(ctx, sk, skb, r->netns, 0);
	return 0;
}

ON_ENTRY(tcp_v4_send_reset, v4_answer_begins, const struct sock *sk, struct sk_buff *skb)
{
	return answer_begins(sk, skb);
}

ON_EXIT(tcp_v4_send_reset, v4_answer_ends, const struct sock *sk, struct sk_buff *skb)
{
	return answer_ends(ctx, EXITING(sk, (void *)answering(true)),
			   EXITING(skb, (void *)answering(false)));
}

ON_ENTRY(tcp_v6_send_reset, v6_answer_begins, const struct sock *sk, struct sk_buff *skb)
{
	return answer_begins(sk, skb);
}

ON_EXIT(tcp_v6_send_reset, v6_answer_ends, const struct sock *sk, struct sk_buff *skb)
{
	return answer_ends(ctx, EXITING(sk, (void *)answering(true)),
			   EXITING(skb, (void *)answering(false)));
}
