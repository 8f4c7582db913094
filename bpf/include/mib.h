/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The namespace's counters on this CPU. The kernel adds to its own CPU's copy where it decides, so
 * what moves while it handles one packet says what it decided.
 */
#ifndef TCPWHY_MIB_H
#define TCPWHY_MIB_H

#include "segment.h"

/* Counters of a namespace (struct net *) as they stand on this CPU; 0 where they cannot be read. */
int read_mib(u64 net, u32 ipv6, struct mib_snapshot *to);

/* One bit a slot that moved. */
u32 mib_moved(const struct mib_snapshot *before, const struct mib_snapshot *after);

static __always_inline u64 mib_value(const struct mib_snapshot *s, u32 slot)
{
	u32 index = mib_index[slot];

	if (slot == MIB_SLOT_OUT_NO_ROUTES)
		return s->out_no_routes;
	if (slot == MIB_SLOT_ATTEMPT_FAILS || slot == MIB_SLOT_OUT_SEGS ||
	    slot == MIB_SLOT_OUT_RSTS)
		return index < TCP_MIB_CAP ? s->tcp_mib[index] : 0;
	return index < LINUX_MIB_CAP ? s->linux_mib[index] : 0;
}

static __always_inline void fill_mib(struct wire_mib_delta *w, const struct mib_snapshot *before,
				     const struct mib_snapshot *after, bool mixed)
{
#pragma unroll
	for (u32 slot = 0; slot < MIB_SLOTS; slot++)
		((u32 *)w)[2 * slot + 1] = mib_value(after, slot) - mib_value(before, slot);
	w->mixed = mixed;
}

#endif
