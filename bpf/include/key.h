/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The count key of a socket. */
#ifndef TCPWHY_KEY_H
#define TCPWHY_KEY_H

#include "emit.h"
#include "service.h"

/* Of a full socket that a hook handed to the program, in `state`. Returns the service of its flow. */
static __always_inline u32 key_sock(struct count_key *k, const struct sock *sk, u32 state)
{
	u8 local[16] __attribute__((aligned(8)));
	u32 port;

	k->detail = (u64)state << 16;
	trusted_remote(sk, k->addr);
	k->port = bpf_ntohs(MEMBER(sk, __sk_common.skc_dport));
	if (state == TCP_SYN_SENT)
		return SERVICE_DADDR;
	trusted_local(sk, local);
	port = trusted_local_port(sk);
	/* Listeners come and go on any port: those of one address are counted together. */
	if (!k->port) {
		key_user(k, local);
		return SERVICE_SADDR;
	}
	if (!sock_serves(sk, state, trusted_net(sk), k->netns, port, k->port)) {
		key_user(k, local);
		return SERVICE_DADDR;
	}
	k->detail |= KEY_SERVED_HERE;
	key_user(k, k->addr);
	__builtin_memcpy(k->addr, local, 16);
	k->port = port;
	return SERVICE_SADDR;
}

#endif
