// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* SYNs that leave: which answer each connecting socket waits for. */
#include "dial.h"

/* The first sequence number stands when the SYN is made: net/ipv4/tcp_output.c, tcp_connect(). */
SEC("fentry/tcp_connect")
int BPF_PROG(connect_begins, struct sock *sk)
{
	remember_dial(sk, BPF_CORE_READ((struct tcp_sock *)sk, write_seq));
	return 0;
}

SEC("tp_btf/net_dev_queue")
int BPF_PROG(packet_leaves, struct sk_buff *skb)
{
	const struct sock *sk = BPF_CORE_READ(skb, sk);
	struct segment s;

	if (sk && read_segment(skb, &s) && (s.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		remember_dial(sk, s.seq);
	return 0;
}
