// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which socket a refused segment belongs to: goes through those that share its local port. What it came
 * on is another connection, or none.
 */
#include "crossed.h"
#include "hashinfo.h"
#include "service.h"

#define MAX_BUCKETS 8
#define MAX_BOUND 12
/* Both ends have told each other their sequence numbers. */
#define SYNCHRONIZED                                                                            \
	(1 << TCP_ESTABLISHED | 1 << TCP_FIN_WAIT1 | 1 << TCP_FIN_WAIT2 | 1 << TCP_CLOSE_WAIT | \
	 1 << TCP_LAST_ACK | 1 << TCP_CLOSING)

/* Zero where they are the same. Without branches: the verifier would follow each of them, each time. */
static __always_inline u32 differ(const u8 *a, const u8 *b)
{
	const u32 *x = (const u32 *)a, *y = (const u32 *)b;

	return (x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]);
}

/* States of a socket that a segment with these flags may be meant for. */
static __always_inline u32 waits_for(u8 flags)
{
	if (flags & TCP_SYN)
		return 1 << TCP_SYN_SENT;
	return flags & TCP_RST ? SYNCHRONIZED | 1 << TCP_SYN_SENT : SYNCHRONIZED;
}

/*
 * What the segment carries is exactly what another peer of this local end should send next: the answer
 * to a SYN, or what continues a connection. SNAT on the way out is undone on the way in.
 */
static __always_inline bool fits(const struct sock *sk, struct crossing *c)
{
	const struct tcp_sock *tp = (const void *)sk;
	u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	const struct segment *s = &c->segment;
	struct wire_flow *f = &c->flow;

	if (!(waits_for(s->flags) >> (state & 31) & 1))
		return false;
	sock_flow(sk, f);
	if (differ(f->saddr, s->daddr) || !(differ(f->daddr, s->saddr) | (f->dport ^ s->sport)))
		return false;
	if ((s->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		return BPF_CORE_READ(tp, snd_una) == s->seq;
	/* snd_nxt is set when the SYN has left, and on one host the answer is faster. */
	if (s->flags & TCP_SYN)
		return BPF_CORE_READ(tp, snd_una) + 1 == s->ack_seq;
	/* A SYN that is sent again is refused again: one connect, told of once. */
	if (state == TCP_SYN_SENT)
		return BPF_CORE_READ(tp, snd_una) + 1 == s->ack_seq &&
		       !BPF_CORE_READ(tp, inet_conn.icsk_retransmits);
	if (BPF_CORE_READ(tp, rcv_nxt) == s->seq)
		return true;
	return s->flags & TCP_ACK && (BPF_CORE_READ(tp, snd_nxt) == s->ack_seq ||
				      BPF_CORE_READ(tp, snd_una) == s->ack_seq);
}

/* inet_bhashfn() of include/net/inet_hashtables.h: the sockets that are bound to a port. */
static __always_inline u64 bound_to(const struct net *net, u16 port)
{
	const struct inet_hashinfo *hashinfo = (const void *)hashinfo_of(net);
	u32 slot =
		(port + BPF_CORE_READ(net, hash_mix)) & (BPF_CORE_READ(hashinfo, bhash_size) - 1);
	u64 node = read_pointer((u64)BPF_CORE_READ(hashinfo, bhash) +
				slot * bpf_core_type_size(struct inet_bind_hashbucket) +
				bpf_core_field_offset(struct inet_bind_hashbucket, chain));

	for (int i = 0; i < MAX_BUCKETS && node; i++) {
		u64 bucket = node - bpf_core_field_offset(struct inet_bind_bucket, node);
		const struct inet_bind_bucket *b = (const void *)bucket;

		if (BPF_CORE_READ(b, port) == port && BPF_CORE_READ(b, ib_net.net) == net)
			return bucket;
		node = read_pointer(node);
	}
	return 0;
}

/* From Linux 6.8 the sockets of a port hang on buckets of a second kind, one for each local address. */
__noinline u64 belongs_to(u32 place)
{
	struct crossing *c = bpf_map_lookup_elem(&crossings, &place);
	u64 bucket, bucket2 = 0, node = 0;

	if (!c)
		return 0;
	bucket = bound_to((const void *)c->net, c->segment.dport);
	if (!bucket)
		return 0;
	if (bpf_core_field_exists(struct inet_bind_bucket, owners))
		node = read_pointer(bucket +
				    bpf_core_field_offset(struct inet_bind_bucket, owners));
	else if (bpf_core_field_exists(struct inet_bind_bucket, bhash2))
		bucket2 = read_pointer(bucket +
				       bpf_core_field_offset(struct inet_bind_bucket, bhash2));
	for (int i = 0; i < MAX_BOUND; i++) {
		u64 sk = node - bpf_core_field_offset(struct sock_common, skc_bind_node);

		if (node) {
			if (fits((const void *)sk, c))
				return sk;
			node = read_pointer(node);
		} else if (bucket2) {
			node = read_pointer(
				bucket2 -
				bpf_core_field_offset(struct inet_bind2_bucket, bhash_node) +
				bpf_core_field_offset(struct inet_bind2_bucket, owners));
			bucket2 = read_pointer(bucket2);
		} else {
			break;
		}
	}
	return 0;
}

/* It has a stack of its own: there is little left where it is called. */
static __noinline void fill_end(struct wire_sock *w, const struct sock *sk)
{
	fill_sock(w, sk);
}

__noinline u64 own_syn(u32 place)
{
	const struct tcp_sock *tp = (const void *)belongs_to(place);

	if (!tp)
		return 0;
	/* 1: it is sent for the first time. */
	return 1 + BPF_CORE_READ(tp, inet_conn.icsk_retransmits);
}

__noinline u32 fill_own_syn(u32 place, u32 slot)
{
	struct wire_event_drop *e = record_buffer(slot);
	const struct sock *dialled = (const void *)belongs_to(place);

	if (!e || !dialled)
		return 0;
	fill_end(&e->body.dialled, dialled);
	e->body.dialled.flow.service = SERVICE_DADDR;
	return 1;
}

__noinline u32 fill_dialled(u32 place, u32 slot)
{
	struct crossing *c = bpf_map_lookup_elem(&crossings, &place);
	struct wire_event_syn_received *e = record_buffer(slot);

	if (!c || !e)
		return 0;
	__builtin_memcpy(e->body.dialled.saddr, c->flow.saddr, 16);
	__builtin_memcpy(e->body.dialled.daddr, c->flow.daddr, 16);
	e->body.dialled.sport = c->flow.sport;
	e->body.dialled.dport = c->flow.dport;
	e->body.dialled.service = SERVICE_DADDR;
	return 1;
}

__noinline u32 wanted_crossing(u32 place)
{
	struct crossing *c = bpf_map_lookup_elem(&crossings, &place);

	return c && wanted_flow(c->netns, &c->flow);
}

__noinline u32 make_crossed(u32 place)
{
	struct crossing *c = bpf_map_lookup_elem(&crossings, &place);
	struct count_key k = { .kind = EVENT_KIND_CROSSED_REPLY };
	struct wire_event_crossed_reply *e;
	const struct sock *other;
	struct total *t;

	if (!c)
		return 0;
	other = (const void *)belongs_to(place);
	if (!other || !(c->asked || wanted_crossing(place)))
		return 0;
	__builtin_memcpy(k.addr, c->segment.saddr, 16);
	k.port = c->segment.sport;
	k.netns = c->netns;
	t = count(&k);
	e = record_buffer(SCRATCH_CROSSED + place);
	if (!t || !e)
		return 0;
	wire_event_crossed_reply_init(e);
	fill_event(&e->event, k.netns, t);
	fill_packet(&e->body.packet, (const void *)c->skb, &c->segment, parse_area(e), false);
	fill_end(&e->body.fits, other);
	e->body.fits.flow.service = service_of_sock(other, &e->body.fits.flow);
	/* It comes from the peer of a local end that both connections have. */
	e->body.packet.flow.service = turned(e->body.fits.flow.service);
	e->body.no_connection = place == CROSSED_ANSWER && !c->sk;
	if (c->sk) {
		fill_end(&e->body.sock, (const void *)c->sk);
		e->body.sock.flow.service = turned(e->body.packet.flow.service);
	}
	return 1;
}

__noinline u32 told_crossed(u32 place)
{
	struct wire_event_crossed_reply *e = record_buffer(SCRATCH_CROSSED + place);
	struct total *t;

	if (!e)
		return 0;
	t = total_with(e->event.key, EVENT_KIND_CROSSED_REPLY);
	if (t)
		is_told(t);
	return 1;
}
