/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A TCP segment as the programs reason about it, and as it goes on the wire. */
#ifndef TCPWHY_SEGMENT_H
#define TCPWHY_SEGMENT_H

#include "hooks.h"
#include "maps.h"
#include "pointer.h"

/* A refused segment, while the connection is looked for that it belongs to. */
struct crossing {
	u64 net;
	u64 skb;
	u64 sk;
	u32 netns;
	struct segment segment;
	/* By its own ends. */
	u32 asked;
	/* Of the connection that is looked at. */
	struct wire_flow flow;
};

struct ipv4_header {
	u8 version_ihl;
	u8 tos;
	__be16 tot_len;
	__be16 id;
	__be16 frag_off;
	u8 ttl;
	u8 protocol;
	__be16 check;
	__be32 saddr;
	__be32 daddr;
};

struct ipv6_header {
	__be32 version_flow;
	__be16 payload_len;
	u8 nexthdr;
	u8 hop_limit;
	u8 saddr[16];
	u8 daddr[16];
};

struct tcp_header {
	__be16 source;
	__be16 dest;
	__be32 seq;
	__be32 ack_seq;
	u8 doff_res;
	u8 flags;
	__be16 window;
	__be16 check;
	__be16 urg_ptr;
};

static __always_inline void map_ipv4(u8 *to, __be32 addr)
{
	u32 *words = (u32 *)to;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = addr;
}

/* Both headers of the common kind, so that one read brings them. */
struct ipv4_segment {
	struct ipv4_header ip;
	struct tcp_header th;
};

struct ipv6_segment {
	struct ipv6_header ip;
	struct tcp_header th;
};

union any_segment {
	struct ipv4_segment v4;
	struct ipv6_segment v6;
};

static __always_inline bool take_tcp(struct segment *s, const struct tcp_header *th, u32 l4_len)
{
	s->tcp_header_len = (th->doff_res >> 4) * 4;
	if (s->tcp_header_len < sizeof(*th))
		return false;
	s->sport = bpf_ntohs(th->source);
	s->dport = bpf_ntohs(th->dest);
	s->seq = bpf_ntohl(th->seq);
	s->ack_seq = bpf_ntohl(th->ack_seq);
	s->window = bpf_ntohs(th->window);
	s->flags = th->flags;
	s->payload_len = l4_len > s->tcp_header_len ? l4_len - s->tcp_header_len : 0;
	return true;
}

#define ANY_FLAGS 0xff

/* Beside TCP's flags: an ICMP error, which tells of another packet. */
#define ICMP_ERROR 0x100

#define IPPROTO_ICMP 1
#define IPPROTO_ICMPV6 58
#define ICMP_DEST_UNREACH 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12
#define ICMPV6_DEST_UNREACH 1
#define ICMPV6_PARAMPROB 4

static __always_inline u16 icmp_error_flag(u8 protocol, u8 type)
{
	if (protocol == IPPROTO_ICMP)
		return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED ||
				       type == ICMP_PARAMETERPROB
			       ? ICMP_ERROR
			       : 0;
	return protocol == IPPROTO_ICMPV6 && type >= ICMPV6_DEST_UNREACH && type <= ICMPV6_PARAMPROB
		       ? ICMP_ERROR
		       : 0;
}

/*
 * Flags that a packet may have as a TCP segment, or ICMP_ERROR, for hooks that most packets are nothing to: one read and
 * no more. Where IP has options that is any; read_segment() says what it is.
 */
static __always_inline u16 tcp_flags(const struct sk_buff *skb)
{
	u16 protocol = MEMBER(skb, protocol);
	const unsigned char *at = MEMBER(skb, head) + MEMBER(skb, network_header);
	union any_segment h;

	if (protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_probe_read_kernel(&h.v4, sizeof(h.v4), at))
			return 0;
		if (h.v4.ip.protocol != IPPROTO_TCP)
			return icmp_error_flag(h.v4.ip.protocol, *(u8 *)&h.v4.th);
		return h.v4.ip.version_ihl == 0x45 ? h.v4.th.flags : ANY_FLAGS;
	}
	if (protocol != bpf_htons(ETH_P_IPV6) || bpf_probe_read_kernel(&h.v6, sizeof(h.v6), at))
		return 0;
	if (h.v6.ip.nexthdr != IPPROTO_TCP)
		return icmp_error_flag(h.v6.ip.nexthdr, *(u8 *)&h.v6.th);
	return h.v6.th.flags;
}

/*
 * Reads the headers that skb->network_header points at. False where that is no TCP segment whose
 * header is here: another protocol, a later fragment, IPv6 extension headers, or a socket buffer
 * whose headers are not built (protocol 0). The buffer is one that a hook handed to the program:
 * its members are read directly.
 */
static __noinline __attribute__((unused)) bool read_segment(const struct sk_buff *skb,
							    struct segment *s)
{
	u16 protocol = bpf_ntohs(MEMBER(skb, protocol));
	const unsigned char *at;
	union any_segment h;
	u32 header_len;

	if (protocol != ETH_P_IP && protocol != ETH_P_IPV6)
		return false;
	s->tcp_offset = MEMBER(skb, network_header);
	at = MEMBER(skb, head) + s->tcp_offset;
	if (protocol == ETH_P_IP) {
		if (bpf_probe_read_kernel(&h.v4, sizeof(h.v4), at))
			return false;
		if (h.v4.ip.version_ihl >> 4 != 4 || h.v4.ip.protocol != IPPROTO_TCP ||
		    h.v4.ip.frag_off & bpf_htons(0x1fff))
			return false;
		header_len = (h.v4.ip.version_ihl & 15) * 4;
		s->tcp_offset += header_len;
		if (header_len != sizeof(h.v4.ip) &&
		    bpf_probe_read_kernel(&h.v4.th, sizeof(h.v4.th), at + header_len))
			return false;
		map_ipv4(s->saddr, h.v4.ip.saddr);
		map_ipv4(s->daddr, h.v4.ip.daddr);
		s->ttl = h.v4.ip.ttl;
		return take_tcp(s, &h.v4.th, bpf_ntohs(h.v4.ip.tot_len) - header_len);
	}
	if (bpf_probe_read_kernel(&h.v6, sizeof(h.v6), at) || h.v6.ip.nexthdr != IPPROTO_TCP)
		return false;
	s->tcp_offset += sizeof(h.v6.ip);
	__builtin_memcpy(s->saddr, h.v6.ip.saddr, 16);
	__builtin_memcpy(s->daddr, h.v6.ip.daddr, 16);
	s->ttl = h.v6.ip.hop_limit;
	return take_tcp(s, &h.v6.th, bpf_ntohs(h.v6.ip.payload_len));
}

#define TCPOLEN_TIMESTAMP 10

/* How balancers tell whom they connect for: a port, and an address of either family. */
#define TCPOLEN_TOA 8
#define TCPOLEN_TOA_V6 20
/* Akamai's has a version of one byte in place of the port; TCP's own user timeout is of this kind too. */
#define TCPOPT_TOA_28 28
#define TCPOLEN_USER_TIMEOUT 4

/* Leaves in what is parsed at a place of `scratch` where each option begins: options.bpf.c. */
u32 find_options(u32 place);

/* Leaves them in `p`; false where there are none. */
static __always_inline bool read_options(const unsigned char *head, const struct segment *s,
					 struct parse *p)
{
	u32 len = s->tcp_header_len - sizeof(struct tcp_header);

	/* Reading past a short header is harmless: skb_shared_info always follows the data. */
	if (!len || bpf_probe_read_kernel(p->options, MAX_OPTIONS,
					  head + s->tcp_offset + sizeof(struct tcp_header)))
		return false;
	p->len = len;
	return find_options(p->place);
}

/* Where an option is in p->options; MAX_OPTIONS where it is not. */
static __always_inline u32 option_at(const struct parse *p, enum option option)
{
	return *(const volatile u32 *)&p->found[option];
}

/* It may say that it goes on where the header has ended. */
static __always_inline bool ends_within(const struct parse *p, u32 at, u32 size)
{
	return at + size <= *(const volatile u32 *)&p->len;
}

/* Leaves them in `p`, as numbers; false where there are none. */
static __always_inline bool take_timestamps(struct parse *p)
{
	u32 at = option_at(p, OPTION_TIMESTAMPS);

	if (at >= MAX_OPTIONS || p->options[at + 1] != TCPOLEN_TIMESTAMP ||
	    !ends_within(p, at, TCPOLEN_TIMESTAMP))
		return false;
	__builtin_memcpy(&p->tsval, &p->options[at + 2], 4);
	__builtin_memcpy(&p->tsecr, &p->options[at + 6], 4);
	p->tsval = bpf_ntohl(p->tsval);
	p->tsecr = bpf_ntohl(p->tsecr);
	return true;
}

static __always_inline bool read_timestamps(const struct sk_buff *skb, const struct segment *s,
					    struct parse *p)
{
	return read_options(MEMBER(skb, head), s, p) && take_timestamps(p);
}

/* What is stored and read again is any number to the verifier, which then follows one path for all. */
static __always_inline u32 forgotten(struct parse *p, u32 value)
{
	*(volatile u32 *)&p->at = value;
	return *(volatile u32 *)&p->at;
}

static __always_inline void fill_toa(struct wire_toa *w, struct parse *p, enum option option)
{
	u32 at = option_at(p, option), size, portless;
	__be32 v4;

	if (at >= MAX_OPTIONS)
		return;
	portless = forgotten(p, p->options[at] == TCPOPT_TOA_28) & 1;
	size = p->options[at + 1];
	if (!ends_within(p, at, size))
		return;
	if (size + portless == TCPOLEN_TOA_V6) {
		__builtin_memcpy(w->addr, &p->options[at + 4 - portless], 16);
	} else if (size + portless == TCPOLEN_TOA) {
		__builtin_memcpy(&v4, &p->options[at + 4 - portless], 4);
		map_ipv4(w->addr, v4);
	} else {
		return;
	}
	w->kind = p->options[at];
	w->port = (p->options[at + 2] << 8 | p->options[at + 3]) & (portless - 1);
}

/* Where there is none of this kind, the other kind is taken for it. */
static __always_inline void replace_option(struct parse *p, enum option option, enum option other)
{
	if (option_at(p, option) < MAX_OPTIONS)
		return;
	*(volatile u32 *)&p->found[option] = option_at(p, other);
	*(volatile u32 *)&p->found[other] = MAX_OPTIONS;
}

/* 253 beside another that tells of the client is the balancer's own end, which the client dialled. */
static __always_inline void fill_toas(struct wire_packet *w, struct parse *p)
{
	u32 at = option_at(p, OPTION_TOA_28);

	if (at < MAX_OPTIONS && p->options[at + 1] == TCPOLEN_USER_TIMEOUT)
		*(volatile u32 *)&p->found[OPTION_TOA_28] = MAX_OPTIONS;
	replace_option(p, OPTION_TOA, OPTION_TOA_28);
	replace_option(p, OPTION_TOA, OPTION_TOA_253);
	fill_toa(&w->toa, p, OPTION_TOA);
	fill_toa(&w->dialled, p, OPTION_TOA_253);
}

/*
 * The namespace of what may be a device: its loopback device is one of the same. NULL where it is none:
 * skb->dev lies where a buffer has its place in a tree (TCP's segments out of order, qdiscs, fragments),
 * and what was there stays when it leaves.
 */
static __always_inline struct net *device_net(const struct net_device *dev)
{
	struct net *net = dev ? BPF_CORE_READ(dev, nd_net.net) : NULL;

	return net && BPF_CORE_READ(net, loopback_dev, nd_net.net) == net ? net : NULL;
}

static __always_inline void fill_device(u8 *name, const struct sk_buff *skb, bool trusted)
{
	const struct net_device *dev = READ_POINTER(trusted, skb, dev);

	if (device_net(dev))
		bpf_probe_read_kernel(name, 16, dev->name);
}

/* `trusted`: the buffer is one that a hook handed to the program. */
static __always_inline void fill_packet(struct wire_packet *w, const struct sk_buff *skb,
					const struct segment *s, struct parse *p, bool trusted)
{
	__builtin_memcpy(w->flow.saddr, s->saddr, 16);
	__builtin_memcpy(w->flow.daddr, s->daddr, 16);
	w->flow.sport = s->sport;
	w->flow.dport = s->dport;
	w->flags = s->flags;
	w->seq = s->seq;
	w->ack_seq = s->ack_seq;
	w->window = s->window;
	w->payload_len = s->payload_len;
	w->ifindex = READ(trusted, skb, skb_iif);
	w->ttl = s->ttl;
	fill_device(w->device, skb, trusted);
	if (!read_options(READ(trusted, skb, head), s, p))
		return;
	if (take_timestamps(p)) {
		w->has_timestamps = 1;
		w->tsval = p->tsval;
		w->tsecr = p->tsecr;
	}
	fill_toas(w, p);
}

/* The route's device: known also where skb->dev is not, as after tcp_v4_rcv cleared it. */
static __always_inline struct net_device *route_device(const struct sk_buff *skb)
{
	struct dst_entry *dst = (void *)(BPF_CORE_READ(skb, _skb_refdst) & ~7UL);

	return dst ? BPF_CORE_READ(dst, dev) : NULL;
}

static __always_inline struct net *sock_net(const struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net);
}

static __always_inline struct net *packet_net(const struct sk_buff *skb, const struct sock *sk)
{
	struct net_device *dev;

	if (sk)
		return sock_net(sk);
	dev = route_device(skb);
	return dev ? BPF_CORE_READ(dev, nd_net.net) : device_net(BPF_CORE_READ(skb, dev));
}

static __always_inline u32 netns_of(const struct net *net)
{
	return net ? BPF_CORE_READ(net, ns.inum) : 0;
}

#endif
