// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Resets that this host sends, as the tracepoint tells of them. */
#include "answer.h"
#include "icmp.h"
#include "key.h"
#include "next_hop.h"
#include "limits.h"

extern struct {
} pending_reset SEC(".maps");

/* The program, its trampoline and the tracepoint's own function. */
#define STACK_SKIP 2

static __always_inline void active(void *ctx, const struct sock *sk, u32 reason)
{
	struct count_key k = { .kind = EVENT_KIND_RESET_SENT, .reason = reason };
	u64 linger = MEMBER(sk, __sk_common.skc_flags) >> SOCK_LINGER_BIT & 1;
	struct wire_event_reset_sent *e;
	struct total *t;
	u32 was, service;

	k.netns = trusted_netns(sk);
	if (filters_apply() && !wanted_sock(sk, k.netns))
		return;
	was = previous_state(sk, MEMBER(sk, __sk_common.skc_state));
	service = key_sock(&k, sk, was);
	k.detail |= KEY_ACTIVE | linger << 9 | (u64)has_unread(sk) << 8;
	t = count(&k);
	e = record_buffer(SCRATCH_RESET_SENT);
	if (!t || !e)
		return;
	wire_event_reset_sent_init(e);
	fill_trusted_sock(&e->body.sock, sk);
	e->body.sock.flow.service = service;
	fill_event(&e->event, k.netns, t);
	e->body.reason = reason;
	fill_patience(&e->body.sock, sk);
	fill_memory(&e->body.memory, sk);
	e->body.unused = is_unused(sk, was);
	e->body.answered = peer_spoke_last(sk);
	/*
	 * close(), disconnect() and the end of a process run for the process itself, and close the socket
	 * first; timers and ss -K reset before they close.
	 */
	if (!e->body.sock.owner.pid && e->body.sock.state == TCP_CLOSE)
		fill_current(&e->body.sock.owner);
	fill_current(&e->body.running);
	fill_end_of_process(&e->body.process_ends, &e->body.exit_status);
	fill_icmp(&e->body.icmp, &e->body.sock.flow, k.netns);
	fill_next_hop(&e->body.next_hop, BPF_CORE_READ(sk, sk_dst_cache), e->body.sock.flow.daddr);
	fill_silence(&e->body.next_hop, e->body.sock.flow.daddr, k.netns);
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

/* The same before 6.10: answers are told of in tcp_answer.bpf.c, without its gaps. */
ON_TRACEPOINT(tcp_send_reset, active_reset_sent, const struct sock *sk, const struct sk_buff *skb)
{
	if (sk && !skb)
		active(ctx, sk, 0);
	return 0;
}
