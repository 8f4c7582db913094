/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Targets, --port, --host and --netns: a port, an address or a network matches either end. */
#ifndef TCPWHY_FILTER_H
#define TCPWHY_FILTER_H

#include "sock.h"

static __always_inline bool within(const u8 *addr, const volatile struct filter_target *t)
{
	const u32 *a = __builtin_assume_aligned(addr, 4);

	return !(((a[0] ^ t->addr[0]) & t->mask[0]) | ((a[1] ^ t->addr[1]) & t->mask[1]) |
		 ((a[2] ^ t->addr[2]) & t->mask[2]) | ((a[3] ^ t->addr[3]) & t->mask[3]));
}

/* What src/source/filter.ts does on events of a recording (matcher). */
static __always_inline bool wanted(u32 netns, const u8 *saddr, const u8 *daddr, u16 sport,
				   u16 dport)
{
	const volatile struct filter_target *t;
	u32 met = 0;

	if (filter_netns && netns != filter_netns)
		return false;
	if (!filter_groups)
		return true;
	for (u32 i = 0; i < FILTER_TARGETS && i < filter_count; i++) {
		t = &filter_targets[i];
		if (t->port && t->port != sport && t->port != dport)
			continue;
		if (within(saddr, t) || within(daddr, t))
			met |= t->group;
	}
	return met == filter_groups;
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

/* Whether what is not asked for by its own ends may be by others: those of before it was translated. */
static __always_inline bool wanted_otherwise(u32 netns)
{
	return filter_groups && (!filter_netns || netns == filter_netns);
}

#endif
