// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Listeners in the kernel's table, which has a chain for each address and port: on the address itself,
 * then on any. The rules are those of inet_lhash2_lookup() and inet6_lhash2_lookup().
 */
#include "listener.h"
#include "hashinfo.h"

/* More sockets than share a chain by chance; those that share an end are found by one of them. */
#define MAX_CHAIN 128
#define MAX_GROUP 256

#define JHASH_INITVAL 0xdeadbeef
#define ROL(word, by) ((word) << (by) | (word) >> (32 - (by)))

/* Bob Jenkins' lookup3, of one word and of four: include/linux/jhash.h. */
static __always_inline u32 jhash_final(u32 a, u32 b, u32 c)
{
	c = (c ^ b) - ROL(b, 14);
	a = (a ^ c) - ROL(c, 11);
	b = (b ^ a) - ROL(a, 25);
	c = (c ^ b) - ROL(b, 16);
	a = (a ^ c) - ROL(c, 4);
	b = (b ^ a) - ROL(a, 14);
	return (c ^ b) - ROL(b, 24);
}

static __always_inline u32 jhash_word(u32 word, u32 initval)
{
	u32 begin = initval + JHASH_INITVAL + 4;

	return jhash_final(word + begin, begin, begin);
}

static __always_inline u32 jhash_address(const u32 *words, u32 initval)
{
	u32 begin = JHASH_INITVAL + (4 << 2) + initval;
	u32 a = begin + words[0], b = begin + words[1], c = begin + words[2];

	a = (a - c) ^ ROL(c, 4);
	c += b;
	b = (b - a) ^ ROL(a, 6);
	a += c;
	c = (c - b) ^ ROL(b, 8);
	b += a;
	a = (a - c) ^ ROL(c, 16);
	c += b;
	b = (b - a) ^ ROL(a, 19);
	a += c;
	c = (c - b) ^ ROL(b, 4);
	b += a;
	return jhash_final(a + words[3], b, c);
}

static __always_inline bool is_ipv4(const u32 *words)
{
	return !(words[0] | words[1] | (words[2] ^ bpf_htonl(0xffff)));
}

static __always_inline bool listens(const struct sock *sk, const struct lookup *l)
{
	return BPF_CORE_READ(sk, __sk_common.skc_num) == l->port &&
	       BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN &&
	       (u64)BPF_CORE_READ(sk, __sk_common.skc_net.net) == l->net;
}

/* compute_score(): 0 where it is none for this packet. */
static __always_inline u32 score_of(const struct sock *sk, const struct lookup *l, u32 any)
{
	const u32 *addr = (const u32 *)l->addr;
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	u32 bound = BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if), score = 1;
	u32 own[4] = {};

	if (!listens(sk, l) || (bound && l->ifindex && bound != l->ifindex))
		return 0;
	if (is_ipv4(addr)) {
		if (BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only) ||
		    BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr) != (any ? 0 : addr[3]))
			return 0;
		score += family == AF_INET;
	} else {
		if (family != AF_INET6)
			return 0;
		BPF_CORE_READ_INTO(&own, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32);
		if (any ? own[0] | own[1] | own[2] | own[3]
			: (own[0] ^ addr[0]) | (own[1] ^ addr[1]) | (own[2] ^ addr[2]) |
				    (own[3] ^ addr[3]))
			return 0;
	}
	score += bound != 0;
	return score +
	       ((u32)BPF_CORE_READ(sk, __sk_common.skc_incoming_cpu) == bpf_get_smp_processor_id());
}

/* ipv4_portaddr_hash() and ipv6_portaddr_hash(); any address of either family has the same chain. */
static __always_inline u64 chain_of(const struct lookup *l, const struct inet_hashinfo *hashinfo,
				    u32 any)
{
	const u32 *addr = (const u32 *)l->addr;
	const struct net *net = (const void *)l->net;
	u32 mix = BPF_CORE_READ(net, hash_mix), hash;

	if (any)
		hash = jhash_word(0, mix);
	else if (is_ipv4(addr))
		hash = jhash_word(addr[3], mix);
	else
		hash = jhash_address(addr, mix);
	return (u64)BPF_CORE_READ(hashinfo, lhash2) +
	       (u64)((hash ^ l->port) & BPF_CORE_READ(hashinfo, lhash2_mask)) *
		       bpf_core_type_size(struct inet_listen_hashbucket);
}

static __always_inline u64 group_of(const struct sock *sk)
{
	return BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_reuseport)
		       ? (u64)BPF_CORE_READ(sk, sk_reuseport_cb)
		       : 0;
}

#define CHAINS_ARE_OLD bpf_core_field_exists(struct inet_connection_sock, icsk_listen_portaddr_node)

/* Of the socket that is looked at in this place; then the next one is. As verified once, not for each. */
__noinline u32 look_at_socket(u32 place)
{
	struct lookup *l = lookup_at(place);
	const struct sock *sk;
	u64 node;
	u32 score;

	if (!l)
		return 0;
	node = l->node;
	if (CHAINS_ARE_OLD)
		sk = (const void *)(node - bpf_core_field_offset(struct inet_connection_sock,
								 icsk_listen_portaddr_node));
	else
		sk = (const void *)(node -
				    bpf_core_field_offset(struct sock_common, skc_nulls_node));
	l->node = read_pointer(node);
	score = score_of(sk, l, l->any);
	if (score <= l->score)
		return 0;
	l->score = score;
	l->sk = (u64)sk;
	l->group = group_of(sk);
	if (l->group)
		l->node = 0;
	return 1;
}

static __noinline bool look_in_chain(u32 place, u32 any)
{
	struct lookup *l = lookup_at(place);
	const struct inet_hashinfo *hashinfo;
	u64 chain;

	if (!l)
		return false;
	hashinfo = (const void *)hashinfo_of((const void *)l->net);
	if (!hashinfo)
		return false;
	l->any = any;
	chain = chain_of(l, hashinfo, any);
	if (CHAINS_ARE_OLD)
		l->node = read_pointer(chain +
				       bpf_core_field_offset(struct inet_listen_hashbucket, head));
	else
		l->node = read_pointer(
			chain + bpf_core_field_offset(struct inet_listen_hashbucket, nulls_head));
	for (int i = 0; i < MAX_CHAIN; i++) {
		u64 node = *(volatile u64 *)&l->node;

		/* A chain ends with an odd number, or where it is old with none. */
		if (!node || node & 1)
			break;
		look_at_socket(place);
	}
	return l->score != 0;
}

__noinline u64 listener_of(u32 place)
{
	struct lookup *l = lookup_at(place);

	if (!l)
		return 0;
	l->sk = 0;
	l->group = 0;
	l->score = 0;
	l->one_of = 0;
	if (!look_in_chain(place, 0))
		look_in_chain(place, 1);
	return l->sk;
}

/* A listener whose queue is longer than it may be refuses what would wait there. */
static __always_inline bool is_full(const struct sock *sk, u32 moved)
{
	u32 max = BPF_CORE_READ(sk, sk_max_ack_backlog);
	const struct inet_connection_sock *icsk = (const void *)sk;

	if (moved & 1u << MIB_SLOT_LISTEN_OVERFLOWS)
		return BPF_CORE_READ(sk, sk_ack_backlog) > max;
	if (moved & (1u << MIB_SLOT_TCP_REQ_Q_FULL_DROP | 1u << MIB_SLOT_TCP_REQ_Q_FULL_DO_COOKIES))
		return (u32)BPF_CORE_READ(icsk, icsk_accept_queue.qlen.counter) >= max;
	return true;
}

/* From the drop until it is told. */
#define MEANWHILE_JIFFIES 2

/*
 * Since this was asked last; a listener that is not remembered began with none. Where several CPUs refuse at
 * once, the first to ask sees the drops of all.
 */
static __always_inline bool has_dropped(u64 id)
{
	const struct sock *sk = (const void *)id;
	struct drops_seen *seen = bpf_map_lookup_elem(&drops_before, &id), now = {};

	now.drops = BPF_CORE_READ(sk, sk_drops.counter);
	now.jiffy = bpf_jiffies64();
	now.others = now.drops - 1;
	if (seen) {
		if (now.drops == seen->drops) {
			if (!seen->others || (u16)(now.jiffy - seen->jiffy) > MEANWHILE_JIFFIES)
				return false;
			seen->others--;
			return true;
		}
		now.others -= seen->drops;
	}
	bpf_map_update_elem(&drops_before, &id, &now, BPF_ANY);
	return true;
}

static __always_inline void suspect(struct suspects *s, u64 sk)
{
	s->sk = sk;
	s->count++;
}

/* As verified once, too. */
__noinline u32 look_at_member(u32 place, u32 index)
{
	struct lookup *l = lookup_at(place);
	bool full, dropped;
	u64 sk;

	if (!l)
		return 0;
	sk = read_pointer(l->group + bpf_core_field_offset(struct sock_reuseport, socks) +
			  index * 8);
	if (!listens((const void *)sk, l))
		return 0;
	full = is_full((const void *)sk, l->moved);
	dropped = has_dropped(sk);
	if (full)
		suspect(&l->full, sk);
	if (dropped)
		suspect(&l->dropped, sk);
	if (full && dropped)
		suspect(&l->both, sk);
	return 1;
}

__noinline u64 refusing_one(u32 place, u32 moved)
{
	struct lookup *l = lookup_at(place);
	const struct sock_reuseport *group;
	const struct suspects *some;
	u32 count;

	if (!l)
		return 0;
	l->moved = moved;
	l->full.count = 0;
	l->dropped.count = 0;
	l->both.count = 0;
	group = (const void *)l->group;
	count = BPF_CORE_READ(group, num_socks);
	for (u32 i = 0; i < MAX_GROUP && i < count; i++)
		look_at_member(place, i);
	/* What is answered with a cookie is no drop: there the queues tell, if all of them were looked at. */
	some = &l->both;
	if (!(moved & 1u << MIB_SLOT_LISTEN_DROPS) && count <= MAX_GROUP)
		some = &l->full;
	else if (!l->both.count)
		some = &l->dropped;
	l->one_of = some->count ? some->count : count;
	return l->one_of == 1 ? some->sk : 0;
}
