// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Entries of connection tracking, its counters and its limits: of the packet that is asked about. */
#include "conntrack.h"
#include "mib.h"
#include "sock.h"

#define IPS_CONFIRMED (1 << 3)
#define IPS_DST_NAT (1 << 5)

/* More than kernels have of what keeps data in each namespace. */
#define MAX_NET_IDS 96

/*
 * What a packet dropped by netfilter moved in the counters of this CPU. The first time that a namespace is
 * looked at there is nothing to compare with but zero.
 */
static __always_inline u32 read_moved(struct tracking *t)
{
	const struct net *net = (const void *)t->net;
	u64 stat = (u64)BPF_CORE_READ(net, ct.stat);
	u32 drop = 0, insert_failed = 0;

	t->dropped = 0;
	t->insert_failed = 0;
	if (!stat)
		return 0;
	stat += this_cpu_distance();
	bpf_probe_read_kernel(
		&drop, sizeof(drop),
		(const void *)(stat + bpf_core_field_offset(struct ip_conntrack_stat, drop)));
	bpf_probe_read_kernel(&insert_failed, sizeof(insert_failed),
			      (const void *)(stat + bpf_core_field_offset(struct ip_conntrack_stat,
									  insert_failed)));
	t->looked_before = t->read_net == t->net;
	t->dropped = t->looked_before ? drop - t->read_drop : drop;
	t->insert_failed = t->looked_before ? insert_failed - t->read_insert_failed : insert_failed;
	t->read_net = t->net;
	t->read_drop = drop;
	t->read_insert_failed = insert_failed;
	return (t->dropped ? TRACKING_DROPPED : 0) | (t->insert_failed ? TRACKING_IN_THE_WAY : 0) |
	       (t->entry ? 0 : TRACKING_NO_ENTRY);
}

__noinline u32 tracking_detail(u32 place)
{
	struct tracking *t = tracking_at(place);

	return t ? read_moved(t) : 0;
}

/* What the entry takes the connection for, where its other end has answered; else 0. */
__noinline u32 tracking_answered(u32 place)
{
	struct tracking *t = tracking_at(place);
	const struct nf_conn *ct;

	if (!t || (t->entry & ENTRY_INFO) >= IP_CT_NEW)
		return 0;
	ct = (const void *)(t->entry & ~ENTRY_INFO);
	return ct ? BPF_CORE_READ(ct, proto.tcp.state) : 0;
}

/* A hash of what was dialled, where that was translated; else 0. */
__noinline u64 tracking_dialled(u32 place)
{
	struct tracking *t = tracking_at(place);
	const struct nf_conn *ct;
	u64 words[3] = {};

	if (!t)
		return 0;
	ct = (const void *)(t->entry & ~ENTRY_INFO);
	if (!ct || !(BPF_CORE_READ(ct, status) & IPS_DST_NAT))
		return 0;
	BPF_CORE_READ_INTO((u8(*)[16])words, ct, tuplehash[0].tuple.dst.u3.all);
	words[2] = BPF_CORE_READ(ct, tuplehash[0].tuple.dst.u.all);
	return hash_words(words, 3);
}

/* The data of connection tracking is what its own table of settings has the number of entries from. */
static __always_inline bool is_conntrack_net(struct tracking *t, u64 at)
{
	u64 table =
		read_pointer(at + bpf_core_field_offset(struct nf_conntrack_net, sysctl_header));
	u64 data = bpf_core_field_offset(struct ctl_table, data);

	if (!table)
		return false;
	table = read_pointer(table + bpf_core_field_offset(struct ctl_table_header, ctl_table));
	if (!table || read_pointer(table + bpf_core_type_size(struct ctl_table) + data) !=
			      at + bpf_core_field_offset(struct nf_conntrack_net, count))
		return false;
	t->conntrack_net = at;
	t->entries_max = read_pointer(table + data);
	return true;
}

static __noinline bool find_conntrack_net(u32 place)
{
	struct tracking *t = tracking_at(place);
	const struct net *net;
	u64 data;

	if (!t || !bpf_core_field_exists(struct nf_conntrack_net, count) ||
	    !bpf_core_field_exists(struct nf_conntrack_net, sysctl_header))
		return false;
	net = (const void *)t->net;
	data = (u64)BPF_CORE_READ(net, gen);
	if (t->net_id)
		return is_conntrack_net(t, read_pointer(data + t->net_id * 8));
	for (u32 id = 1; id < MAX_NET_IDS; id++) {
		u64 at = read_pointer(data + id * 8);

		if (at && is_conntrack_net(t, at)) {
			t->net_id = id;
			return true;
		}
	}
	return false;
}

/* One direction of an entry. */
#define FILL_DIRECTION(w, ct, direction)                                                         \
	({                                                                                       \
		BPF_CORE_READ_INTO(&(w)->saddr, ct, tuplehash[direction].tuple.src.u3.all);      \
		BPF_CORE_READ_INTO(&(w)->daddr, ct, tuplehash[direction].tuple.dst.u3.all);      \
		(w)->sport = bpf_ntohs(BPF_CORE_READ(ct, tuplehash[direction].tuple.src.u.all)); \
		(w)->dport = bpf_ntohs(BPF_CORE_READ(ct, tuplehash[direction].tuple.dst.u.all)); \
		if (BPF_CORE_READ(ct, tuplehash[direction].tuple.src.l3num) == AF_INET) {        \
			map_ipv4((w)->saddr, *(const u32 *)(w)->saddr);                          \
			map_ipv4((w)->daddr, *(const u32 *)(w)->daddr);                          \
		}                                                                                \
	})

/* Either direction: each end is in one of them as it knows itself. */
__noinline u32 wanted_entry(u64 entry, u32 netns)
{
	const struct nf_conn *ct = (const void *)entry;
	struct wire_flow flow = {};

	if (!is_tracked_kernel())
		return 0;
	FILL_DIRECTION(&flow, ct, 0);
	if (wanted_flow(netns, &flow))
		return 1;
	FILL_DIRECTION(&flow, ct, 1);
	return wanted_flow(netns, &flow);
}

static __always_inline void fill_entry(struct wire_conntrack *w, const struct tracking *t)
{
	const struct nf_conn *ct = (const void *)(t->entry & ~ENTRY_INFO);

	if (!ct)
		return;
	w->status = BPF_CORE_READ(ct, status);
	w->tcp_state = BPF_CORE_READ(ct, proto.tcp.state);
	if (bpf_core_field_exists(ct->zone))
		w->zone = BPF_CORE_READ(ct, zone.id);
	if (w->status & IPS_CONFIRMED)
		w->forgotten_in_s = ms_of(BPF_CORE_READ(ct, timeout) - (u32)bpf_jiffies64()) / 1000;
	FILL_DIRECTION(&w->sent, ct, 0);
	FILL_DIRECTION(&w->answer, ct, 1);
}

/* How many packets it found to be of no connection on this CPU. */
static __always_inline u32 read_invalid(const struct net *net)
{
	u64 stat = (u64)BPF_CORE_READ(net, ct.stat);
	u32 invalid = 0;

	if (stat)
		bpf_probe_read_kernel(
			&invalid, sizeof(invalid),
			(const void *)(stat + this_cpu_distance() +
				       bpf_core_field_offset(struct ip_conntrack_stat, invalid)));
	return invalid;
}

/*
 * Rules of forwarding, of what comes in for this host and of what is sent on see a packet that was looked at
 * before; by then it has a route. Where nobody counts who wants connections tracked, it was counted itself.
 */
static __always_inline bool was_looked_at(const struct tracking *t, bool counts_users)
{
	const struct nf_conntrack_net *n = (const void *)t->conntrack_net;
	const struct sk_buff *skb = (const void *)t->skb;
	u32 users;

	if (!BPF_CORE_READ(skb, skb_iif) || !(BPF_CORE_READ(skb, _skb_refdst) & ~1ul))
		return false;
	if (!counts_users)
		return read_invalid((const void *)t->net);
	if (bpf_ntohs(BPF_CORE_READ(skb, protocol)) == ETH_P_IP)
		users = BPF_CORE_READ(n, users4);
	else
		users = BPF_CORE_READ(n, users6);
	return users;
}

static __always_inline u32 forgets_after_s(const struct net *net)
{
	return ms_of(BPF_CORE_READ(net, ct.nf_ct_proto.tcp.timeouts[TCP_CONNTRACK_ESTABLISHED])) /
	       1000;
}

static __always_inline void fill_tracking(struct wire_conntrack *w, u32 place)
{
	struct tracking *t = tracking_at(place);
	const struct nf_conntrack_net *n;
	bool found;

	if (!t)
		return;
	w->info = t->entry ? t->entry & ENTRY_INFO : INFO_NO_ENTRY;
	w->dropped = t->dropped;
	w->insert_failed = t->insert_failed;
	w->looked_before = t->looked_before;
	fill_entry(w, t);
	found = find_conntrack_net(place);
	if (found) {
		n = (const void *)t->conntrack_net;
		w->entries = BPF_CORE_READ(n, count.counter);
		bpf_probe_read_kernel(&w->entries_max, sizeof(w->entries_max),
				      (const void *)t->entries_max);
	}
	w->looked_at = was_looked_at(t, found);
	w->forgets_after_s = forgets_after_s((const void *)t->net);
}

/* The device that a packet was to leave by. */
static __always_inline u32 leaves_by(const struct sk_buff *skb)
{
	const struct net_device *dev = BPF_CORE_READ(skb, dev);
	u32 ifindex = dev ? BPF_CORE_READ(dev, ifindex) : 0;

	return ifindex == (u32)BPF_CORE_READ(skb, skb_iif) ? 0 : ifindex;
}

__noinline u32 fill_dropped(u32 slot)
{
	struct tracking *t = tracking_at(TRACKING_DROP);
	struct wire_event_drop *e = record_buffer(slot);

	if (!t || !e)
		return 0;
	e->body.leaves_ifindex = leaves_by((const void *)t->skb);
	fill_tracking(&e->body.conntrack, TRACKING_DROP);
	return 1;
}

__noinline u32 fill_answered(u32 slot)
{
	struct wire_event_reset_sent *e = record_buffer(slot);

	if (!e)
		return 0;
	fill_tracking(&e->body.conntrack, TRACKING_ANSWER);
	return 1;
}

/* Of a packet that leaves. */
static __always_inline u32 fill_leaving(struct wire_conntrack *w, u32 place)
{
	struct tracking *t = tracking_at(place);

	if (!t)
		return 0;
	w->info = t->entry & ENTRY_INFO;
	fill_entry(w, t);
	return 1;
}

__noinline u32 fill_retransmitted(u32 slot)
{
	struct wire_event_retransmit *e = record_buffer(slot);

	return e ? fill_leaving(&e->body.conntrack, TRACKING_LEAVES) : 0;
}

__noinline u32 fill_passing(u32 slot)
{
	struct tracking *t = tracking_at(TRACKING_PASSES);
	struct wire_event_retransmit *e = record_buffer(slot);

	if (!t || !e)
		return 0;
	e->body.conntrack.forgets_after_s = forgets_after_s((const void *)t->net);
	return fill_leaving(&e->body.conntrack, TRACKING_PASSES);
}

__noinline u32 fill_believed(u32 slot)
{
	struct wire_event_reset_received *e = record_buffer(slot);

	return e ? fill_leaving(&e->body.conntrack, TRACKING_BELIEVED) : 0;
}
