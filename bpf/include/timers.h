/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which timers are TCP's: by their functions, which sockets name. */
#ifndef TCPWHY_TIMERS_H
#define TCPWHY_TIMERS_H

#include "hooks.h"
#include "maps.h"
#include "pointer.h"

extern struct {
} tcp_timers SEC(".maps");

#define TIMER_IN_SOCK bpf_core_field_exists(struct sock, tcp_retransmit_timer)

static __always_inline struct tcp_timers *known_timers(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&tcp_timers, &zero);
}

/* Every TCP socket has the same one. */
static __always_inline __attribute__((unused)) void remember_write_timer(const struct sock *sk)
{
	const struct inet_connection_sock *icsk = (const void *)sk;
	struct tcp_timers *t = known_timers();

	if (!t || t->write)
		return;
	if (TIMER_IN_SOCK)
		store_pointer(&t->write, BPF_CORE_READ(sk, tcp_retransmit_timer.function));
	else
		store_pointer(&t->write, BPF_CORE_READ(icsk, icsk_retransmit_timer.function));
}

static __always_inline __attribute__((unused)) void
remember_request_timer(const struct request_sock *req)
{
	struct tcp_timers *t = known_timers();

	if (t && !t->request)
		store_pointer(&t->request, BPF_CORE_READ(req, rsk_timer.function));
}

#endif
