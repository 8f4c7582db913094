// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * SYNs that leave: which answer each connecting socket waits for. It comes to the address that the
 * socket knows: SNAT on the way out is undone on the way in.
 */
#include "dial.h"

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

ON_TRACEPOINT(net_dev_queue, packet_leaves, struct sk_buff *skb)
{
	const struct sock *sk = BPF_CORE_READ(skb, sk);
	u8 addr[16] __attribute__((aligned(8)));
	struct segment s;
	struct wire_flow f;

	if (!sk || !read_segment(skb, &s) || (s.flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return 0;
	sock_flow(sk, &f);
	__builtin_memcpy(addr, f.saddr, 16);
	remember_dial(dial_key(addr, f.sport, netns_of(sock_net(sk)), s.seq + 1), sk);
	return 0;
}
