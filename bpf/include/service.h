/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which end of a connection is the service. Who listened and who dialled, where that is known; then
 * which ports the namespace gives to its own clients; where nothing tells, the lower port. Userspace
 * reads what was decided here: servedAtSource() in src/causes/define.ts.
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
		*ever = 1;
	bpf_map_update_elem(&served_ports, &key, &known, BPF_ANY);
}

static __always_inline bool was_served(u32 netns, u16 port)
{
	u64 key = port_key(netns, port);
	u32 *ever = listened_on(port);

	return ever && *ever && bpf_map_lookup_elem(&served_ports, &key);
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

enum side { SIDE_NOT_KNOWN, SIDE_NEAR, SIDE_FAR };

/* Which of the ports of a connection was listened on here, or else dialled from here. */
static __noinline __attribute__((unused)) u32 known_side(u32 netns, u32 near, u32 far)
{
	bool dialled;

	if (was_served(netns, near))
		return SIDE_NEAR;
	if (was_served(netns, far))
		return SIDE_FAR;
	dialled = was_dialled(netns, far);
	if (dialled == was_dialled(netns, near))
		return SIDE_NOT_KNOWN;
	return dialled ? SIDE_FAR : SIDE_NEAR;
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

static __always_inline bool is_within(u32 range, u32 port)
{
	return port >= (range & 0xffff) && port <= range >> 16;
}

/* Of a connection's two ports; `near` is this host's, if either is. */
static __always_inline bool near_serves(const struct net *net, u32 netns, u32 near, u32 far)
{
	u32 side = known_side(netns, near, far), range;
	bool near_is_client;

	if (side != SIDE_NOT_KNOWN)
		return side == SIDE_NEAR;
	range = client_ports(net);
	near_is_client = is_within(range, near);
	if (near_is_client != is_within(range, far))
		return !near_is_client;
	return near < far;
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
static __always_inline bool sock_serves(const struct sock *sk, u32 state, const struct net *net,
					u32 netns, u32 local_port, u32 remote_port)
{
	u32 side = side_of_role(sk, state);

	return side != SIDE_NOT_KNOWN ? side == SIDE_NEAR
				      : near_serves(net, netns, local_port, remote_port);
}

/* Of a socket's flow, whatever the socket. */
static __noinline __attribute__((unused)) u32 service_of_sock(const struct sock *sk,
							      const struct wire_flow *f)
{
	const struct net *net = sock_net(sk);

	return sock_serves(sk, BPF_CORE_READ(sk, __sk_common.skc_state), net, netns_of(net),
			   f->sport, f->dport)
		       ? SERVICE_SADDR
		       : SERVICE_DADDR;
}

/* Of a segment; `sk`, in `state`, is the socket that gets it, or NULL. */
static __always_inline u32 service_of_segment(const struct segment *s, const struct net *net,
					      u32 netns, const struct sock *sk, u32 state)
{
	u8 handshake = s->flags & (TCP_SYN | TCP_ACK);
	bool served_here;

	if (handshake == TCP_SYN)
		return SERVICE_DADDR;
	if (handshake == (TCP_SYN | TCP_ACK))
		return SERVICE_SADDR;
	served_here = sk ? sock_serves(sk, state, net, netns, s->dport, s->sport)
			 : near_serves(net, netns, s->dport, s->sport);
	return served_here ? SERVICE_DADDR : SERVICE_SADDR;
}

static __always_inline u32 turned(u32 service)
{
	return service == SERVICE_SADDR ? SERVICE_DADDR : SERVICE_SADDR;
}

#endif
