/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which answer a connecting socket waits for. */
#ifndef TCPWHY_DIAL_H
#define TCPWHY_DIAL_H

#include "sock.h"

extern struct {
} dials SEC(".maps");

/* The answer comes to the address that the socket knows: SNAT on the way out is undone on the way in. */
static __always_inline void remember_dial(const struct sock *sk, u32 isn)
{
	struct dial_key k = { .ack_seq = isn + 1 };
	struct dial d = { .sk = (u64)sk };

	BPF_CORE_READ_INTO(&k.netns, sk, __sk_common.skc_net.net, ns.inum);
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET)
		map_ipv4(k.saddr, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
	else
		BPF_CORE_READ_INTO(&k.saddr, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
	k.sport = BPF_CORE_READ(sk, __sk_common.skc_num);
	bpf_map_update_elem(&dials, &k, &d, BPF_ANY);
}

#endif
