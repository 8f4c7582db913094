/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which connections a process here had closed: what their peers still send meets no socket. */
#ifndef TCPWHY_ENDED_H
#define TCPWHY_ENDED_H

#include "limits.h"
#include "shown_peer.h"

extern struct {
} ended SEC(".maps");

#define CLOSED_HERE (1 << TCP_FIN_WAIT1 | 1 << TCP_FIN_WAIT2 | 1 << TCP_CLOSING | 1 << TCP_LAST_ACK)

/*
 * The kernel gives up the socket of a connection that its process has closed. What it keeps in TIME_WAIT
 * has no owner, and is gone when there is no room or its time is over: nothing else tells of it then.
 * Kept until one of ENDED_SLOTS others takes its place.
 */
static __always_inline void remember_end(u64 key, const struct sock *sk, const struct owner *o,
					 int state)
{
	const struct tcp_sock *tp = trusted_tcp(sk);
	u32 slot = key & (ENDED_SLOTS - 1);
	struct ended *e = bpf_map_lookup_elem(&ended, &slot);

	if (!e)
		return;
	e->key = key;
	e->ktime_ns = bpf_ktime_get_ns();
	e->jiffy = bpf_jiffies64();
	e->pid = o ? o->pid : 0;
	e->process_ends = o ? o->process_ends : 0;
	if (o) {
		e->exit_status = o->exit_status;
		e->cgroup = o->cgroup;
		__builtin_memcpy(e->comm, o->comm, 16);
	}
	e->linger2 = tp ? MEMBER(tp, linger2) : 0;
	e->state = state;
	e->peer_closed = MEMBER(sk, __sk_common.skc_flags) >> SOCK_DONE_BIT & 1;
	e->timewait_full = state != TCP_LAST_ACK && timewait_is_full(trusted_net(sk));
}

/* The connection that the segment was of, where it is known to have been closed here. */
static __noinline __attribute__((unused)) struct ended *find_ended(const struct segment *s,
								   u32 netns)
{
	u64 key = peer_key(s->daddr, s->dport, netns, s->saddr, s->sport);
	u32 slot = key & (ENDED_SLOTS - 1);
	struct ended *e = bpf_map_lookup_elem(&ended, &slot);

	return e && e->key == key ? e : NULL;
}

static __noinline __attribute__((unused)) int
fill_ended(struct wire_event_reset_sent *w, const struct ended *e, const struct net *net)
{
	struct wire_closed *c = &w->body.closed;

	c->since_ms = (bpf_ktime_get_ns() - e->ktime_ns) / 1000000 + 1;
	c->since_jiffies = bpf_jiffies64() - e->jiffy;
	c->state = e->state;
	c->peer_closed = e->peer_closed;
	c->timewait_full = e->timewait_full;
	c->linger2 = e->linger2;
	c->process_ends = e->process_ends;
	if (e->process_ends)
		c->exit_status = e->exit_status;
	c->owner.pid = e->pid;
	if (e->pid) {
		c->owner.cgroup = e->cgroup;
		__builtin_memcpy(c->owner.comm, e->comm, 16);
	}
	/* Both ends had closed it. */
	if (e->state == TCP_LAST_ACK)
		w->body.since_end_ms = c->since_ms;
	return fill_limits(&w->body.limits, net);
}

#endif
