/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What connection tracking (nf_conntrack) has of a packet. Only asked of what is dropped or refused. It may be
 * a module, or not there at all: then nothing is known.
 */
#ifndef TCPWHY_CONNTRACK_H
#define TCPWHY_CONNTRACK_H

#include "emit.h"
#include "filter.h"
#include "segment.h"

extern struct {
} trackings SEC(".maps");

/* The low bits of skb->_nfct are enum ip_conntrack_info, which ends before these. */
#define ENTRY_INFO 7ull
#define IP_CT_NEW 2
#define INFO_NO_ENTRY 8

/* Of enum tcp_conntrack: from here on a connection is open, up to the first where it is over. */
#define TCP_CONNTRACK_ESTABLISHED 3
#define TCP_CONNTRACK_TIME_WAIT 7

/* Bits of what tells drops of netfilter apart. */
#define TRACKING_DROPPED 1
#define TRACKING_IN_THE_WAY 2
#define TRACKING_NO_ENTRY 4

/* As verified once, and not again on each way to them. */
u32 tracking_detail(u32 place);
u64 tracking_dialled(u32 place);
u32 tracking_answered(u32 place);
u32 wanted_entry(u64 entry, u32 netns);
u32 fill_dropped(u32 slot);
u32 fill_answered(u32 slot);
u32 fill_retransmitted(u32 slot);
u32 fill_passing(u32 slot);
u32 fill_believed(u32 slot);

static __always_inline struct tracking *tracking_at(u32 place)
{
	return bpf_map_lookup_elem(&trackings, &place);
}

static __always_inline bool is_tracked_kernel(void)
{
	return bpf_core_field_exists(struct sk_buff, _nfct) && bpf_core_type_exists(struct nf_conn);
}

/* By its own ends, or by those that connection tracking has of it: what was dialled, and what that became. */
static __always_inline bool wanted_packet(u32 netns, const struct segment *s,
					  const struct sk_buff *skb)
{
	u64 entry;

	if (wanted_segment(netns, s))
		return true;
	if (!wanted_otherwise(netns) || !is_tracked_kernel())
		return false;
	entry = MEMBER(skb, _nfct) & ~ENTRY_INFO;
	return entry && wanted_entry(entry, netns);
}

static __always_inline struct tracking *track(u32 place, const struct sk_buff *skb,
					      const struct net *net)
{
	struct tracking *t;

	if (!is_tracked_kernel())
		return NULL;
	t = tracking_at(place);
	if (!t)
		return NULL;
	store_pointer(&t->net, net);
	store_pointer(&t->skb, skb);
	t->entry = MEMBER(skb, _nfct);
	return t;
}

/* A SYN leaves. If it was sent again the next that this CPU tells of is that, and where it went to. */
static __always_inline void track_leaving(const struct sk_buff *skb, const struct sock *sk)
{
	struct tracking *t;

	if (!is_tracked_kernel())
		return;
	t = tracking_at(TRACKING_LEAVES);
	if (!t)
		return;
	store_pointer(&t->sk, sk);
	t->entry = MEMBER(skb, _nfct);
}

/* Whether connection tracking has an entry for it, as it left. */
static __always_inline bool has_left_tracked(const struct sock *sk)
{
	struct tracking *t = is_tracked_kernel() ? tracking_at(TRACKING_LEAVES) : NULL;
	u64 id = 0;

	store_pointer(&id, sk);
	return t && t->sk == id && t->entry & ~ENTRY_INFO;
}

#endif
