/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which end of a connection is the service. Who listened and who dialled, where that is known; then
 * which ports the namespace gives to its own clients; then which port was listened on in any; where
 * nothing tells, the lower port. Userspace reads what was decided here: servedAtSource() in
 * src/tcp/service.ts.
 */
#ifndef TCPWHY_SERVICE_H
#define TCPWHY_SERVICE_H

#include "listener.h"

extern struct {
} served_ports SEC(".maps"), dialled_ports SEC(".maps");

/* Of a Flow, as it goes on the wire. */
enum service { SERVICE_NOT_TOLD, SERVICE_SADDR, SERVICE_DADDR };

static __always_inline u64 port_key(u32 netns, u16 port)
{
	return (u64)netns << 32 | port;
}

/* Known for long after the listener is gone. */
static __always_inline void remember_served(u32 netns, u16 port)
{
	u64 key = port_key(netns, port);
	u32 *ever = listened_on(port);
	u8 known = 1;

	if (ever)
		*ever |= LISTENED;
	bpf_map_update_elem(&served_ports, &key, &known, BPF_ANY);
}

static __always_inline bool was_served(u32 netns, u16 port)
{
	u64 key = port_key(netns, port);
	u32 *ever = listened_on(port);

	return ever && *ever && bpf_map_lookup_elem(&served_ports, &key);
}

/* Or a port that has its place: where this host only forwards, its ends may be in other namespaces of it. */
static __always_inline bool was_served_anywhere(u16 port)
{
	u32 *ever = listened_on(port);

	return ever && *ever;
}

static __always_inline u64 *dialled_slot(u32 netns, u16 port)
{
	u32 slot = (netns * 0x9e3779b1u >> 16 ^ port) & (DIALLED_SLOTS - 1);

	return bpf_map_lookup_elem(&dialled_ports, &slot);
}

/* Ports that share a place take it from each other. */
static __always_inline void remember_dialled(u32 netns, u16 port)
{
	u64 *place = dialled_slot(netns, port), key = port_key(netns, port);

	if (place && *place != key)
		*place = key;
}

static __always_inline bool was_dialled(u32 netns, u16 port)
{
	u64 *place = dialled_slot(netns, port);

	return place && *place == port_key(netns, port);
}

/* ip_local_port_range: the first port, and from bit 16 on the last one, as kernels from 6.8 keep it. */
static __always_inline u32 client_ports(const struct net *net)
{
	const struct net___pair *pair = (const void *)net;

	if (bpf_core_field_exists(struct net, ipv4.ip_local_ports.range))
		return BPF_CORE_READ(net, ipv4.ip_local_ports.range);
	return BPF_CORE_READ(pair, ipv4.ip_local_ports.range[1]) << 16 |
	       BPF_CORE_READ(pair, ipv4.ip_local_ports.range[0]);
}

/* The same of IP_LOCAL_PORT_RANGE, which a socket may have for itself from 6.3; 0 where it has none. */
static __always_inline u32 own_ports(const struct sock *sk)
{
	const struct inet_sock *inet = (const void *)sk;
	const struct inet_sock___pair *pair = (const void *)sk;
	u32 range = 0;

	if (bpf_core_field_exists(pair->local_port_range.lo))
		bpf_core_read(&range, sizeof(range), &pair->local_port_range);
	else if (bpf_core_field_exists(inet->local_port_range))
		range = BPF_CORE_READ(inet, local_port_range);
	return range;
}

enum side { SIDE_NOT_KNOWN, SIDE_NEAR, SIDE_FAR };

/*
 * 1 where the near one of a connection's two ports is the service's, else 0; near is this host's, if
 * either is. `side` is the service's where it is known already, `range` client_ports() where it is
 * not. As service.bpf.c verified once, and not again for each way to it.
 */
u32 near_end_serves(u32 netns, u32 near, u32 far, u32 range, u32 side);

static __always_inline u32 near_serves(const struct net *net, u32 netns, u32 near, u32 far,
				       u32 side)
{
	return near_end_serves(netns, near, far, side == SIDE_NOT_KNOWN ? client_ports(net) : 0,
			       side);
}

/* Of the socket in `state`; what is in TIME_WAIT or half-open has no owner. */
static __always_inline u32 side_of_role(const struct sock *sk, u32 state)
{
	struct owner *o;

	if (state == TCP_SYN_SENT)
		return SIDE_FAR;
	if (state == TCP_LISTEN || state == TCP_NEW_SYN_RECV)
		return SIDE_NEAR;
	o = state == TCP_TIME_WAIT ? NULL : find_owner((u64)sk);
	if (o && o->role != ROLE_NOT_KNOWN)
		return o->role == ROLE_ACCEPTED ? SIDE_NEAR : SIDE_FAR;
	return state == TCP_SYN_RECV ? SIDE_NEAR : SIDE_NOT_KNOWN;
}

/* Whether it serves, rather than it has dialled. */
static __always_inline u32 sock_serves(const struct sock *sk, u32 state, const struct net *net,
				       u32 netns, u32 local_port, u32 remote_port)
{
	return near_serves(net, netns, local_port, remote_port, side_of_role(sk, state));
}

/* Of a socket's flow, whatever the socket. */
static __noinline __attribute__((unused)) u32 service_of_sock(const struct sock *sk,
							      const struct wire_flow *f)
{
	u32 side = side_of_role(sk, BPF_CORE_READ(sk, __sk_common.skc_state));
	const struct net *net = sock_net(sk);

	return SERVICE_DADDR - near_serves(net, netns_of(net), f->sport, f->dport, side);
}

/* Of a segment; `sk`, in `state`, is the socket that gets it, or NULL. */
static __always_inline u32 service_of_segment(const struct segment *s, const struct net *net,
					      u32 netns, const struct sock *sk, u32 state)
{
	u8 handshake = s->flags & (TCP_SYN | TCP_ACK);
	u32 side = SIDE_NOT_KNOWN;

	if (handshake & TCP_SYN)
		side = handshake & TCP_ACK ? SIDE_FAR : SIDE_NEAR;
	else if (sk)
		side = side_of_role(sk, state);
	return SERVICE_SADDR + near_serves(net, netns, s->dport, s->sport, side);
}

/* Without a branch, of which the verifier would follow both ways. */
static __always_inline u32 port_of(u32 service, u32 sport, u32 dport)
{
	return sport ^ ((sport ^ dport) & -(service - SERVICE_SADDR));
}

static __always_inline u32 turned(u32 service)
{
	return SERVICE_SADDR + SERVICE_DADDR - service;
}

#endif
