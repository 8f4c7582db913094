// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * SYNs that leave: which answer each connecting socket waits for. It comes to the address that the
 * socket knows: SNAT on the way out is undone on the way in.
 * Where functions cannot be hooked, resets and ICMP errors that leave are remembered here too: a packet
 * that netfilter drops just after it was answered was rejected.
 */
#include "dial.h"
#include "reject.h"

#ifdef PROBES
#define tcp_sock_of(sk) ((const struct tcp_sock *)(sk))
#else
#define tcp_sock_of(sk) bpf_skc_to_tcp_sock(sk)
#endif

/* Called with the first sequence number in write_seq: net/ipv4/tcp_output.c, tcp_connect(). */
ON_ENTRY(tcp_connect, connect_begins, struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sock_of(sk);
	u8 addr[16] __attribute__((aligned(8)));

	if (!tp)
		return 0;
	trusted_local(sk, addr);
	remember_dial(dial_key(addr, MEMBER(sk, __sk_common.skc_num), trusted_netns(sk),
			       MEMBER(tp, write_seq) + 1),
		      sk);
	return 0;
}

static __always_inline void remember_answer(u32 answer, const struct segment *s)
{
	struct last_reject *r = this_cpu_reject();

	if (!r)
		return;
	r->skb = 0;
	r->ktime_ns = bpf_ktime_get_ns();
	r->segment = *s;
	r->answer = answer;
}

ON_TRACEPOINT(net_dev_queue, packet_leaves, struct sk_buff *skb)
{
	const struct sock *sk = BPF_CORE_READ(skb, sk);
	u8 addr[16] __attribute__((aligned(8)));
	struct segment s = {};
	struct wire_flow f;

	if (!read_segment(skb, &s)) {
		if (read_unreachable(skb, &s))
			remember_answer(ANSWER_UNREACHABLE, &s);
		return 0;
	}
	if (s.flags & TCP_RST)
		remember_answer(ANSWER_RESET, &s);
	if (!sk || (s.flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return 0;
	sock_flow(sk, &f);
	__builtin_memcpy(addr, f.saddr, 16);
	remember_dial(dial_key(addr, f.sport, netns_of(sock_net(sk)), s.seq + 1), sk);
	return 0;
}
