// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* SYNs that leave: which answer each connecting socket waits for. */
#include "sock.h"

extern struct {
} dials SEC(".maps");

SEC("tp_btf/net_dev_queue")
int BPF_PROG(packet_leaves, struct sk_buff *skb)
{
	const struct sock *sk = BPF_CORE_READ(skb, sk);
	struct dial_key k = {};
	struct dial d = {};
	struct segment s;

	if (!sk || !read_segment(skb, &s) || (s.flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return 0;
	/* The answer goes to the address that the socket knows: SNAT on the way out is undone on the way in. */
	BPF_CORE_READ_INTO(&k.netns, sk, __sk_common.skc_net.net, ns.inum);
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET)
		map_ipv4(k.saddr, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
	else
		BPF_CORE_READ_INTO(&k.saddr, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
	k.sport = BPF_CORE_READ(sk, __sk_common.skc_num);
	k.ack_seq = s.seq + 1;
	d.sk = (u64)sk;
	bpf_map_update_elem(&dials, &k, &d, BPF_ANY);
	return 0;
}
