/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A socket as it goes on the wire, and its owner. */
#ifndef TCPWHY_SOCK_H
#define TCPWHY_SOCK_H

#include "mptcp.h"
#include "segment.h"

extern struct {
} owners SEC(".maps"), last_close SEC(".maps"), untracked SEC(".maps");

enum untracked_slot { UNTRACKED_OWNER, UNTRACKED_SHOWN_PEER };

static __always_inline void count_untracked(u32 slot)
{
	u64 *n = bpf_map_lookup_elem(&untracked, &slot);

	if (n)
		++*n;
}

static __always_inline void sock_flow(const struct sock *sk, struct wire_flow *f)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	if (family == AF_INET6) {
		BPF_CORE_READ_INTO(&f->saddr, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&f->daddr, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	} else {
		map_ipv4(f->saddr, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		map_ipv4(f->daddr, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	}
	f->sport = BPF_CORE_READ(sk, __sk_common.skc_num);
	/* Closing gives the port back before it tells: inet_sport still has it. */
	if (!f->sport)
		f->sport = bpf_ntohs(BPF_CORE_READ((const struct inet_sock *)sk, inet_sport));
	f->dport = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
}

static __always_inline bool is_tcp_sock(const struct sock *sk)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return (family == AF_INET || family == AF_INET6) &&
	       BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP;
}

static __always_inline u32 owner_slot(u64 sk)
{
	return (low_half(sk) >> 6) * 0x9e3779b1u >> 8 & (OWNER_SLOTS - 1);
}

static __always_inline struct owner *find_owner(u64 sk)
{
	u32 slot = owner_slot(sk);
	struct owner *o = bpf_map_lookup_elem(&owners, &slot);

	if (o && o->sk == sk)
		return o;
	slot ^= 1;
	o = bpf_map_lookup_elem(&owners, &slot);
	return o && o->sk == sk ? o : NULL;
}

static __always_inline bool is_free(const struct owner *o, u64 sk)
{
	return !o->sk || o->sk == sk || o->closed;
}

/* The place of a socket that has none yet. */
static __always_inline struct owner *claim_owner(u64 sk)
{
	u32 slot = owner_slot(sk);
	struct owner *o = bpf_map_lookup_elem(&owners, &slot), *other;

	if (!o || is_free(o, sk))
		return o;
	slot ^= 1;
	other = bpf_map_lookup_elem(&owners, &slot);
	if (!other || is_free(other, sk))
		return other;
	count_untracked(UNTRACKED_OWNER);
	return o;
}

/* Who owned the socket before, at this address, has nothing to do with the one that is born. */
static __always_inline void forget_owner(u64 sk)
{
	struct owner *o = find_owner(sk);

	if (o)
		o->sk = 0;
}

static __always_inline void let_owner_go(u64 sk)
{
	struct owner *o = find_owner(sk);

	if (o)
		o->closed = OWNER_CLOSED;
}

static __always_inline bool fill_owner(struct wire_owner *w, u64 sk)
{
	struct owner *o = find_owner(sk);

	if (!o)
		return false;
	w->pid = o->pid;
	w->cgroup = o->cgroup;
	__builtin_memcpy(w->comm, o->comm, 16);
	return true;
}

static __always_inline u64 cgroup_of(const struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
}

/* The owner is the process: its leader's name, not the thread's. */
static __always_inline void name_owner(struct owner *o, const struct task_struct *task)
{
	o->pid = BPF_CORE_READ(task, tgid);
	o->cgroup = cgroup_of(task);
	BPF_CORE_READ_INTO(&o->comm, task, group_leader, comm);
}

static __always_inline struct owner *set_owner(u64 sk, const struct task_struct *task, u32 role)
{
	struct owner *o = claim_owner(sk);

	if (!o)
		return NULL;
	name_owner(o, task);
	o->shown_port = 0;
	o->closed = OWNER_OPEN;
	o->closed_in = 0;
	o->role = role;
	o->process_ends = 0;
	o->sk = sk;
	return o;
}

/* The process that runs now owns the socket: without a helper call where the kernel allows it. */
static __always_inline struct owner *set_owner_to_current(u64 sk, u32 role)
{
#ifndef PROBES
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf)) {
		const struct task_struct *task = UNTRUSTED(bpf_get_current_task_btf());
		struct owner *o = claim_owner(sk);
		const u64 *comm;

		if (!o)
			return NULL;
		o->pid = task->tgid;
		o->cgroup = task->cgroups->dfl_cgrp->kn->id;
		comm = (const u64 *)task->group_leader->comm;
		((u64 *)o->comm)[0] = comm[0];
		((u64 *)o->comm)[1] = comm[1];
		o->shown_port = 0;
		o->closed = OWNER_OPEN;
		o->closed_in = 0;
		o->role = role;
		o->process_ends = 0;
		o->sk = sk;
		return o;
	}
#endif
	return set_owner(sk, (void *)bpf_get_current_task(), role);
}

/* The process that runs now: the owner only where the kernel works for the process itself. */
static __always_inline void fill_current(struct wire_owner *w)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	w->pid = bpf_get_current_pid_tgid() >> 32;
	w->cgroup = cgroup_of(task);
	BPF_CORE_READ_INTO(&w->comm, task, group_leader, comm);
}

#define SOCK_LINGER_BIT 4

/*
 * Of a socket that a tracepoint or traced function hands to the program, whose members the verifier
 * allows to be read directly.
 */
static __always_inline const struct tcp_sock *trusted_tcp(const struct sock *sk)
{
#ifdef PROBES
	return (const void *)sk;
#else
	return bpf_skc_to_tcp_sock((void *)sk);
#endif
}

static __always_inline void trusted_local(const struct sock *sk, u8 *addr)
{
	u32 *words = (u32 *)addr;

	if (MEMBER(sk, __sk_common.skc_family) == AF_INET6) {
#pragma unroll
		for (int i = 0; i < 4; i++)
			words[i] = MEMBER(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[i]);
	} else {
		map_ipv4(addr, MEMBER(sk, __sk_common.skc_rcv_saddr));
	}
}

static __always_inline void trusted_remote(const struct sock *sk, u8 *addr)
{
	u32 *words = (u32 *)addr;

	if (MEMBER(sk, __sk_common.skc_family) == AF_INET6) {
#pragma unroll
		for (int i = 0; i < 4; i++)
			words[i] = MEMBER(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[i]);
	} else {
		map_ipv4(addr, MEMBER(sk, __sk_common.skc_daddr));
	}
}

/* Closing gives the port back before it tells: inet_sport still has it. */
static __always_inline u32 trusted_local_port(const struct sock *sk)
{
	u32 port = MEMBER(sk, __sk_common.skc_num);
	const struct tcp_sock *tp;

	if (port)
		return port;
	tp = trusted_tcp(sk);
	return tp ? bpf_ntohs(MEMBER(tp, inet_conn.icsk_inet.inet_sport)) : 0;
}

static __always_inline void trusted_flow(const struct sock *sk, struct wire_flow *f)
{
	trusted_local(sk, f->saddr);
	trusted_remote(sk, f->daddr);
	f->sport = trusted_local_port(sk);
	f->dport = bpf_ntohs(MEMBER(sk, __sk_common.skc_dport));
}

static __always_inline struct net *trusted_net(const struct sock *sk)
{
	return POINTER_MEMBER(sk, __sk_common.skc_net.net);
}

static __always_inline u32 trusted_netns(const struct sock *sk)
{
	const struct net *net = trusted_net(sk);

	return MEMBER(net, ns.inum);
}

/* Filters are asked before anything is counted. */
static __always_inline bool filters_apply(void)
{
	return filter_netns || filter_groups;
}

static __always_inline struct last_close *last_close_of(u64 sk)
{
	u32 slot = owner_slot(sk) & (LAST_CLOSES - 1);

	return bpf_map_lookup_elem(&last_close, &slot);
}

/* The state before this one where the socket was closed just now, else the same. */
static __always_inline u32 previous_state(const struct sock *sk, u32 state)
{
	struct last_close *closed;
	struct owner *o;

	if (state != TCP_CLOSE)
		return state;
	o = find_owner((u64)sk);
	if (o && o->closed && o->closed_in)
		return o->closed_in;
	closed = last_close_of((u64)sk);
	return closed && closed->sk == (u64)sk ? closed->state : state;
}

#define SOCK_DONE_BIT 1

/* tcp_inq(): the peer's FIN has a number of its own, and is no byte. */
static __always_inline u32 unread_bytes(u32 rcv_nxt, u32 copied_seq, unsigned long flags)
{
	u32 bytes = rcv_nxt - copied_seq;

	return bytes && flags >> SOCK_DONE_BIT & 1 ? bytes - 1 : bytes;
}

/* Nor are this end's SYN and FIN, until they are acknowledged. */
#define UNACKED_FLAG                                                                     \
	(1 << TCP_SYN_SENT | 1 << TCP_SYN_RECV | 1 << TCP_FIN_WAIT1 | 1 << TCP_CLOSING | \
	 1 << TCP_LAST_ACK)

static __always_inline u32 unacked_bytes(u32 write_seq, u32 snd_una, u32 state)
{
	u32 bytes = write_seq - snd_una;

	return bytes && UNACKED_FLAG >> (state & 31) & 1 ? bytes - 1 : bytes;
}

/* Of listeners that share an end by SO_REUSEPORT: how many. */
static __always_inline u32 sharing(const struct sock *sk, bool trusted)
{
	const struct sock_reuseport *group = READ_POINTER(trusted, sk, sk_reuseport_cb);

	return group ? BPF_CORE_READ(group, num_socks) : 0;
}

static __always_inline void fill_listening(struct wire_sock *w, const struct sock *sk,
					   const struct tcp_sock *tp, bool trusted)
{
	w->accept_queue = READ(trusted, sk, sk_ack_backlog);
	w->accept_queue_max = READ(trusted, sk, sk_max_ack_backlog);
	w->syn_queue = READ(trusted, tp, inet_conn.icsk_accept_queue.qlen.counter);
	w->bound_ifindex = READ(trusted, sk, __sk_common.skc_bound_dev_if);
	w->ipv6_only = BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only);
	w->sharing = sharing(sk, trusted);
}

/* `tp` is the same socket, where it is a full one. */
static __always_inline void fill_state(struct wire_sock *w, const struct sock *sk,
				       const struct tcp_sock *tp, bool trusted)
{
	u64 mptcp = mptcp_of(tp);

	if (!fill_owner(&w->owner, (u64)sk) && mptcp)
		fill_owner(&w->owner, mptcp);
	w->mptcp = mptcp != 0;
	w->err = READ(trusted, sk, sk_err);
	w->linger = READ(trusted, sk, __sk_common.skc_flags) >> SOCK_LINGER_BIT & 1;
	w->linger_time = READ(trusted, sk, sk_lingertime);
	if (w->state == TCP_LISTEN) {
		fill_listening(w, sk, tp, trusted);
		return;
	}
	w->previous_state = previous_state(sk, w->state);
	w->rcv_nxt = READ(trusted, tp, rcv_nxt);
	w->snd_nxt = READ(trusted, tp, snd_nxt);
	w->unread_bytes = unread_bytes(w->rcv_nxt, READ(trusted, tp, copied_seq),
				       READ(trusted, sk, __sk_common.skc_flags));
	if (mptcp)
		w->unread_bytes += mptcp_unread((const void *)mptcp);
	w->unacked_bytes = unacked_bytes(READ(trusted, tp, write_seq), READ(trusted, tp, snd_una),
					 w->previous_state);
	w->retransmits = READ(trusted, tp, inet_conn.icsk_retransmits);
}

/* For a request or TIME_WAIT socket only what struct sock_common has. */
static __always_inline void fill_sock(struct wire_sock *w, const struct sock *sk)
{
	store_pointer((void *)&w->id, sk);
	w->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	w->previous_state = w->state;
	sock_flow(sk, &w->flow);
	if (w->state != TCP_TIME_WAIT && w->state != TCP_NEW_SYN_RECV)
		fill_state(w, sk, (const void *)sk, false);
}

/* The same of a full TCP socket that a hook handed to the program. */
static __always_inline void fill_trusted_sock(struct wire_sock *w, const struct sock *sk)
{
	const struct tcp_sock *tp = trusted_tcp(sk);

	store_pointer((void *)&w->id, sk);
	w->state = MEMBER(sk, __sk_common.skc_state);
	w->previous_state = w->state;
	trusted_flow(sk, &w->flow);
	if (tp)
		fill_state(w, sk, tp, true);
}

/* Of such a socket too. */
static __always_inline bool has_unread(const struct sock *sk)
{
	const struct tcp_sock *tp = trusted_tcp(sk);

	return tp && MEMBER(tp, rcv_nxt) != MEMBER(tp, copied_seq);
}

/* How long ago a stamp of tcp_jiffies32 was; 0 where that cannot be told. As jiffies.bpf.c verified once. */
u32 ms_since(u32 jiffies32);
/* The same of a number of jiffies. */
u32 ms_of(u32 jiffies);

/* When a connection was sent anything last: data and acknowledgements have a stamp each. */
static __always_inline u32 silent_ms(const struct sock *sk)
{
	const struct tcp_sock *tp = (const void *)sk;
	u32 acked = BPF_CORE_READ(tp, rcv_tstamp);
	u32 received = BPF_CORE_READ(tp, inet_conn.icsk_ack.lrcvtime);

	return ms_since((__s32)(received - acked) > 0 ? received : acked);
}

/* Whether the process that runs is ending, not only one of its threads, and as wait() will tell it. */
static __always_inline void fill_end_of_process(u32 *ends, u32 *status)
{
	const struct task_struct *task = (void *)bpf_get_current_task();

	if (!(BPF_CORE_READ(task, flags) & PF_EXITING) || BPF_CORE_READ(task, signal, live.counter))
		return;
	*ends = 1;
	*status = BPF_CORE_READ(task, exit_code);
}

/* Neither end had sent any data on it; `state` is CLOSE where the one before is not known any more. */
static __always_inline bool is_unused(const struct sock *sk, u32 state)
{
	const struct tcp_sock *tp = trusted_tcp(sk);

	return tp && (state == TCP_ESTABLISHED || state == TCP_CLOSE) &&
	       !MEMBER(tp, bytes_received) && !MEMBER(tp, bytes_sent);
}

/* The last data on it was the peer's, as far as jiffies tell. */
static __always_inline bool peer_spoke_last(const struct sock *sk)
{
	const struct tcp_sock *tp = trusted_tcp(sk);

	return tp && MEMBER(tp, bytes_received) &&
	       (__s32)(MEMBER(tp, inet_conn.icsk_ack.lrcvtime) - MEMBER(tp, lsndtime)) >= 0;
}

/* How long a socket that gave up has waited, and for what. */
static __always_inline void fill_patience(struct wire_sock *w, const struct sock *sk)
{
	const struct inet_connection_sock *icsk = (const void *)sk;
	/* Milliseconds of CLOCK_MONOTONIC; where a route asks for microseconds, userspace sees nonsense. */
	u32 stamp = BPF_CORE_READ((const struct tcp_sock *)sk, retrans_stamp);

	w->user_timeout_ms = BPF_CORE_READ(icsk, icsk_user_timeout);
	w->silent_ms = silent_ms(sk);
	w->snd_wnd = BPF_CORE_READ((const struct tcp_sock *)sk, snd_wnd);
	w->unanswered_probes = BPF_CORE_READ(icsk, icsk_probes_out);
	w->unanswered_ms = stamp ? (u32)(bpf_ktime_get_ns() / 1000000) - stamp : 0;
}

static __always_inline bool is_reason(u32 reason, bool exists, u32 value)
{
	return exists && reason == value;
}

/* A kernel without reasons tells of no such drop. */
#define IS_REASON(reason, name)                                                   \
	is_reason(reason, bpf_core_enum_value_exists(enum skb_drop_reason, name), \
		  bpf_core_enum_value(enum skb_drop_reason, name))

#endif
