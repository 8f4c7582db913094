/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* --port, --host and --netns; a port or host matches either end. */
#ifndef TCPWHY_FILTER_H
#define TCPWHY_FILTER_H

#include "sock.h"

static __always_inline bool same_addr(const u8 *a, const volatile u8 *b)
{
	for (int i = 0; i < 16; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

static __always_inline bool wanted(u32 netns, const u8 *saddr, const u8 *daddr, u16 sport,
				   u16 dport)
{
	if (filter_netns && netns != filter_netns)
		return false;
	if (filter_port && sport != filter_port && dport != filter_port)
		return false;
	if (filter_has_addr && !same_addr(saddr, filter_addr) && !same_addr(daddr, filter_addr))
		return false;
	return true;
}

static __always_inline bool wanted_segment(u32 netns, const struct segment *s)
{
	return wanted(netns, s->saddr, s->daddr, s->sport, s->dport);
}

/* Where there is a filter at all: reads both ends. */
static __always_inline bool wanted_sock(const struct sock *sk, u32 netns)
{
	struct wire_flow f;

	sock_flow(sk, &f);
	return wanted(netns, f.saddr, f.daddr, f.sport, f.dport);
}

static __always_inline bool wanted_flow(u32 netns, const struct wire_flow *f)
{
	return wanted(netns, f->saddr, f->daddr, f->sport, f->dport);
}

#endif
