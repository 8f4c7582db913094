// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Births and deaths of sockets: their owners, who listens, and the failures that end in CLOSE. */
#include "emit.h"
#include "ended.h"
#include "failed_connect.h"
#include "filter.h"
#include "handshake.h"
#include "hashinfo.h"
#include "icmp.h"
#include "key.h"
#include "next_hop.h"
#include "service.h"
#include "shown_peer.h"
#include "timers.h"

static __always_inline void begins_to_listen(const struct sock *sk)
{
	u16 port = MEMBER(sk, __sk_common.skc_num);

	remember_listener(sk, port);
	remember_served(trusted_netns(sk), port);
}

static __always_inline u64 true_peer_key(const struct sock *sk, struct wire_flow *f)
{
	trusted_flow(sk, f);
	return peer_key(f->saddr, f->sport, trusted_netns(sk), f->daddr, f->dport);
}

static __always_inline void is_established(const struct sock *sk)
{
	struct wire_flow f;

	handshake_completes();
	claim_peer(true_peer_key(sk, &f), (u64)sk);
}

/* Only who accepts shows its peer to others; the end of either may be asked for. */
static __always_inline void ends(const struct sock *sk, const struct owner *o, int old_state)
{
	bool closed_here = CLOSED_HERE >> old_state & 1 && !MEMBER(sk, sk_err);
	bool dialled = o && o->role == ROLE_DIALLED;
	struct wire_flow f;
	u64 key;

	if (dialled && !closed_here && !o->shown_port)
		return;
	key = true_peer_key(sk, &f);
	if (closed_here)
		remember_end(key, sk, o, old_state);
	if (!dialled)
		release_peer(key, (u64)sk);
	if (o && o->shown_port)
		release_peer(
			peer_key(f.saddr, f.sport, trusted_netns(sk), o->shown_addr, o->shown_port),
			(u64)sk);
}

/* Of a connect what its SYN began with. */
static __always_inline u32 unacknowledged(const struct sock *sk)
{
	return BPF_CORE_READ((const struct tcp_sock *)sk, snd_una);
}

/* An ICMP error ended it, as a reset does that is told of by itself. */
static __noinline bool ended_by_icmp(const struct sock *sk)
{
	u32 netns = netns_of(sock_net(sk));
	const struct icmp_seen *seen;
	struct wire_flow f;

	sock_flow(sk, &f);
	seen = icmp_for(&f, netns);
	return (seen && age_ms(seen) <= ICMP_ENDS_MS) || icmp_for_syn(unacknowledged(sk), netns);
}

/* Its own SYN came back to it, which it takes for a SYN of the other end. */
static __always_inline bool is_of_itself(const struct sock *sk)
{
	struct wire_flow f;

	if (MEMBER(sk, __sk_common.skc_num) != bpf_ntohs(MEMBER(sk, __sk_common.skc_dport)))
		return false;
	trusted_flow(sk, &f);
	return !__builtin_memcmp(f.saddr, f.daddr, 16);
}

/* Its SYN had data (Fast Open), and was answered when it had been sent again without. */
static __always_inline bool is_late_fast_open(const struct sock *sk)
{
	const struct tcp_sock *tp = trusted_tcp(sk);

	return tp && MEMBER(tp, total_retrans) && MEMBER_BITS(tp, syn_data);
}

/* A connect that failed, a connection that ended with an error, a listener that came or went. */
static __always_inline bool telling(const struct sock *sk, int old_state, int new_state)
{
	int err;

	if (new_state == TCP_LISTEN)
		return true;
	if (new_state == TCP_SYN_RECV)
		return old_state == TCP_SYN_SENT && is_of_itself(sk);
	if (new_state == TCP_ESTABLISHED)
		return old_state == TCP_SYN_SENT;
	if (new_state != TCP_CLOSE)
		return false;
	/* A reset that was believed is told of by itself. */
	err = MEMBER(sk, sk_err);
	if (old_state == TCP_SYN_SENT)
		return err != ECONNREFUSED || ended_by_icmp(sk);
	return old_state == TCP_LISTEN || (err && err != ECONNRESET && err != EPIPE);
}

/* Its state is changed when it was told. */
static __always_inline void fill_new_listener(struct wire_sock *w, const struct sock *sk)
{
	const struct tcp_sock *tp = trusted_tcp(sk);

	w->state = TCP_LISTEN;
	if (tp)
		fill_listening(w, sk, tp, true);
}

static __noinline int fill_failure(struct wire_state_change *w, const struct sock *sk, u32 netns)
{
	const struct icmp_seen *seen;

	fill_icmp(&w->icmp, &w->sock.flow, netns);
	if (!w->icmp.type) {
		seen = icmp_for_syn(unacknowledged(sk), netns);
		if (seen)
			fill_icmp_seen(&w->icmp, seen);
	}
	fill_next_hop(&w->next_hop, BPF_CORE_READ(sk, sk_dst_cache), w->sock.flow.daddr);
	fill_mac_change(&w->mac_change, BPF_CORE_READ(sk, sk_dst_cache), w->sock.flow.daddr, netns);
	fill_silence(&w->next_hop, w->sock.flow.daddr, netns);
	return 0;
}

/* What setsockopt() gave it, IP_TTL or IPV6_UNICAST_HOPS. */
static __always_inline u32 own_ttl(const struct sock *sk)
{
	const struct inet_sock *inet = (const void *)sk;
	const struct ipv6_pinfo *six = BPF_CORE_READ(inet, pinet6);
	bool ipv6 = BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6;
	int ttl = ipv6 && six ? (int)BPF_CORE_READ_BITFIELD_PROBED(six, hop_limit)
			      : (__s16)BPF_CORE_READ(inet, uc_ttl);

	return ttl > 0 ? ttl : 0;
}

static __noinline int fill_connect(struct wire_connect *w, const struct sock *sk)
{
	u32 range = client_ports(sock_net(sk));

	w->ttl = own_ttl(sk);
	w->first_port = range & 0xffff;
	w->last_port = range >> 16;
	w->own_ports = own_ports(sk);
	fill_end_of_process(&w->process_ends, &w->exit_status);
	return 0;
}

static __always_inline void report(void *ctx, const struct sock *sk, int old_state, int new_state)
{
	struct count_key k = { .kind = EVENT_KIND_STATE_CHANGE };
	struct wire_event_state_change *e;
	struct total *t;
	u32 service;

	k.netns = trusted_netns(sk);
	k.reason = MEMBER(sk, sk_err);
	service = key_sock(&k, sk, old_state);
	k.detail |= new_state;
	if (filters_apply() && !wanted_sock(sk, k.netns))
		return;
	/* One that is closed after a failed connect is closed because of that connect and of no other. */
	t = new_state == TCP_CLOSE ? count(&k) : count_unsampled(&k);
	e = t ? record_buffer(SCRATCH_STATE) : NULL;
	if (!e)
		return;
	wire_event_state_change_init(e);
	fill_event(&e->event, k.netns, t);
	fill_trusted_sock(&e->body.sock, sk);
	e->body.sock.flow.service = service;
	fill_patience(&e->body.sock, sk);
	if (new_state == TCP_LISTEN)
		fill_new_listener(&e->body.sock, sk);
	/* What it has sent again itself is forgotten with the answer. */
	if (new_state == TCP_ESTABLISHED)
		e->body.sock.retransmits =
			BPF_CORE_READ((const struct tcp_sock *)sk, total_retrans);
	if (new_state == TCP_CLOSE && old_state != TCP_LISTEN)
		fill_failure(&e->body, sk, k.netns);
	if (new_state == TCP_CLOSE && old_state == TCP_SYN_SENT)
		fill_connect(&e->body.connect, sk);
	if (new_state == TCP_CLOSE && old_state == TCP_LISTEN)
		fill_end_of_process(&e->body.connect.process_ends, &e->body.connect.exit_status);
	e->body.old_state = old_state;
	e->body.new_state = new_state;
	submit(ctx, e, sizeof(*e), t);
}

/* What may still be heard of a socket names its owner, until another socket takes the place. */
static __always_inline void closes(const struct sock *sk, int old_state)
{
	struct owner *o = find_owner((u64)sk);
	struct last_close *closed;

	if (old_state == TCP_SYN_SENT) {
		if (o)
			remember_failed_connect(o->pid);
	} else {
		if (old_state != TCP_LISTEN)
			ends(sk, o, old_state);
		closed = o ? NULL : last_close_of((u64)sk);
		if (closed) {
			closed->sk = (u64)sk;
			closed->state = old_state;
		}
	}
	if (o) {
		o->closed = OWNER_CLOSED;
		o->closed_in = old_state == TCP_SYN_SENT ? 0 : old_state;
	}
}

/* A process that ends closes what it has open: it may have got that from the one that accepted it. */
static __always_inline void closes_with_process(const struct sock *sk)
{
	u32 ends = 0, status = 0;
	struct owner *o;

	fill_end_of_process(&ends, &status);
	o = ends ? find_owner((u64)sk) : NULL;
	if (!o)
		return;
	name_owner(o, (void *)bpf_get_current_task());
	o->exit_status = status;
	o->process_ends = 1;
}

/* What a connection goes through that is well: by far the most. */
static __always_inline bool is_of_no_interest(const struct sock *sk, int old_state, int new_state)
{
	return new_state == TCP_FIN_WAIT2 || new_state == TCP_CLOSE_WAIT ||
	       new_state == TCP_CLOSING ||
	       (new_state == TCP_ESTABLISHED && old_state != TCP_SYN_RECV &&
		!(old_state == TCP_SYN_SENT && is_late_fast_open(sk)));
}

ON_TRACEPOINT(inet_sock_set_state, state_changes, const struct sock *sk, int old_state,
	      int new_state)
{
	if (is_of_no_interest(sk, old_state, new_state))
		return 0;
	if (MEMBER(sk, sk_protocol) != IPPROTO_TCP) {
		if (new_state == TCP_CLOSE && MEMBER(sk, sk_protocol) == IPPROTO_MPTCP)
			let_owner_go((u64)sk);
		return 0;
	}
	/* connect() and listen() run for the process that owns the socket from then on. */
	if (new_state == TCP_SYN_SENT || new_state == TCP_LISTEN) {
		set_owner_to_current((u64)sk,
				     new_state == TCP_SYN_SENT ? ROLE_DIALLED : ROLE_NOT_KNOWN);
		remember_hashinfo(sk);
		remember_write_timer(sk);
	}
	if (new_state == TCP_SYN_SENT) {
		remember_dialled(trusted_netns(sk), bpf_ntohs(MEMBER(sk, __sk_common.skc_dport)));
		return 0;
	}
	if (new_state == TCP_LISTEN)
		begins_to_listen(sk);
	else if (new_state == TCP_CLOSE)
		closes(sk, old_state);
	else if (new_state == TCP_FIN_WAIT1 || new_state == TCP_LAST_ACK)
		closes_with_process(sk);
	else if (old_state == TCP_LISTEN)
		forget_owner((u64)sk);
	else if (old_state == TCP_SYN_RECV && new_state == TCP_ESTABLISHED)
		is_established(sk);
	if (telling(sk, old_state, new_state) || closes_after_failed_connect(new_state))
		report(ctx, sk, old_state, new_state);
	return 0;
}
