// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Packets that may be answered with a reset, from the entry of the functions that send them, where the
 * tracepoint is silent without a full socket (before Linux 6.10). They are freed as dropped a moment
 * later: only then it is known whether one was sent.
 */
#include "mib.h"

extern struct {
} pending_reset SEC(".maps");

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
	r->jiffy = bpf_jiffies64();
	return 0;
}

ON_ENTRY(tcp_v4_send_reset, v4_answer_begins, const struct sock *sk, struct sk_buff *skb)
{
	return answer_begins(sk, skb);
}

ON_ENTRY(tcp_v6_send_reset, v6_answer_begins, const struct sock *sk, struct sk_buff *skb)
{
	return answer_begins(sk, skb);
}
