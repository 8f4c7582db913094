// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Who accepts a connection, where its socket becomes the process's: whichever call that is, and with the
 * socket at hand.
 */
#include "sock.h"

SEC("fentry/security_sock_graft")
int BPF_PROG(socket_accepted, struct sock *sk)
{
	u32 protocol = MEMBER(sk, sk_protocol);
	struct owner *o;

	if (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP)
		return 0;
	o = set_owner_to_current((u64)sk, ROLE_ACCEPTED);
	/* A connection may end before accept() comes to it. */
	if (o && MEMBER(sk, __sk_common.skc_state) == TCP_CLOSE)
		o->closed = OWNER_CLOSED;
	return 0;
}
