/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Times that the kernel keeps in jiffies. */
#ifndef TCPWHY_JIFFIES_H
#define TCPWHY_JIFFIES_H

#include "sock.h"

/* How long ago a stamp of tcp_jiffies32 was; 0 where that cannot be told. As jiffies.bpf.c verified once. */
u32 ms_since(u32 jiffies32);

/* When a connection was sent anything last: data and acknowledgements have a stamp each. */
static __always_inline u32 silent_ms(const struct sock *sk)
{
	const struct tcp_sock *tp = (const void *)sk;
	u32 acked = BPF_CORE_READ(tp, rcv_tstamp);
	u32 received = BPF_CORE_READ(tp, inet_conn.icsk_ack.lrcvtime);

	return ms_since((__s32)(received - acked) > 0 ? received : acked);
}

#endif
