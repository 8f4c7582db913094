/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The count key of a socket. */
#ifndef TCPWHY_KEY_H
#define TCPWHY_KEY_H

#include "emit.h"
#include "sock.h"

/* Of a full socket that a hook handed to the program, in `state`: one that connects has dialled a service. */
static __always_inline void key_sock(struct count_key *k, const struct sock *sk, u32 state)
{
	u32 remote_port = bpf_ntohs(MEMBER(sk, __sk_common.skc_dport)), port;
	u8 local[16] __attribute__((aligned(8))), remote[16] __attribute__((aligned(8)));

	k->detail = (u64)state << 16;
	if (state == TCP_SYN_SENT) {
		trusted_remote(sk, k->addr);
		k->port = remote_port;
		return;
	}
	trusted_local(sk, local);
	trusted_remote(sk, remote);
	port = trusted_local_port(sk);
	key_ends(k, local, port, remote, remote_port, port <= remote_port);
}

#endif
