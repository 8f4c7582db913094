// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How a packet that is dropped without a socket had come in: in whose frame, and whether it had before. */
#include "arrival.h"
#include "emit.h"
#include "handshake_ttl.h"
#include "mac.h"
#include "next_hop.h"

#define PACKET_OTHERHOST 3
#define NO_MAC_HEADER 0xffff
/* Of one device: more than it has but by intent. */
#define MAX_ADDRESSES 32
#define MAX_DEVICES 32

static __always_inline bool has_ipv4(const struct net_device *dev, __be32 addr)
{
	const struct in_ifaddr *a = BPF_CORE_READ(dev, ip_ptr, ifa_list);

	for (int i = 0; i < MAX_ADDRESSES && a; i++) {
		if (BPF_CORE_READ(a, ifa_local) == addr)
			return true;
		a = BPF_CORE_READ(a, ifa_next);
	}
	return false;
}

static __always_inline bool has_ipv6(const struct net_device *dev, const u8 *addr)
{
	const struct inet6_dev *in6 = BPF_CORE_READ(dev, ip6_ptr);
	const u64 *wanted = (const u64 *)addr;
	const struct list_head *at;
	u64 words[2];

	if (!in6)
		return false;
	at = BPF_CORE_READ(in6, addr_list.next);
	for (int i = 0; i < MAX_ADDRESSES && at && at != &in6->addr_list; i++) {
		const struct inet6_ifaddr *a =
			(const void *)at - bpf_core_field_offset(struct inet6_ifaddr, if_list);

		if (!bpf_core_read(words, 16, &a->addr) && words[0] == wanted[0] &&
		    words[1] == wanted[1])
			return true;
		at = BPF_CORE_READ(at, next);
	}
	return false;
}

/* Whether a device of this namespace has it: that one takes the frame. */
static __noinline bool is_own_mac(const struct net *net, const unsigned char *mac_at)
{
	u64 mac = read_mac(mac_at);
	const struct list_head *at = BPF_CORE_READ(net, dev_base_head.next);

	for (int i = 0; i < MAX_DEVICES && at && at != &net->dev_base_head; i++) {
		const struct net_device *dev =
			(const void *)at - bpf_core_field_offset(struct net_device, dev_list);

		if (read_mac(BPF_CORE_READ(dev, dev_addr)) == mac)
			return true;
		at = BPF_CORE_READ(at, next);
	}
	return false;
}

static __noinline bool is_own_address(const struct net_device *dev, const struct wire_drop *w)
{
	u8 daddr[16] __attribute__((aligned(8)));

	__builtin_memcpy(daddr, w->packet.flow.daddr, 16);
	return is_mapped_ipv4(daddr) ? has_ipv4(dev, ((const u32 *)daddr)[3])
				     : has_ipv6(dev, daddr);
}

static __noinline int fill_macs(struct wire_drop *w, const struct net_device *dev,
				const unsigned char *at)
{
	fill_mac(w->frame.mac_to, read_mac(at));
	fill_mac(w->frame.mac_from, read_mac(at + MAC_BYTES));
	fill_mac(w->frame.mac_here, read_mac(BPF_CORE_READ(dev, dev_addr)));
	return 0;
}

/* Each part has a stack of its own: there is not more left before 6.13. */
static __noinline int fill_frame(struct wire_drop *w, const struct sk_buff *skb)
{
	const struct net_device *dev = BPF_CORE_READ(skb, dev);
	u16 mac_header = BPF_CORE_READ(skb, mac_header);
	const unsigned char *at = BPF_CORE_READ(skb, head) + mac_header;

	if (!device_net(dev) || BPF_CORE_READ(dev, type) != ARPHRD_ETHER ||
	    mac_header == NO_MAC_HEADER)
		return 0;
	fill_macs(w, dev, at);
	w->frame.is_ours = is_own_address(dev, w) && !is_own_mac(device_net(dev), at);
	return 0;
}

__noinline u32 fill_arrival(u64 skb, u32 slot)
{
	struct wire_event_drop *e = record_buffer(slot);
	const struct sk_buff *packet = (const void *)skb;
	struct wire_packet *p;

	if (!PRUNES_WELL || !e)
		return 0;
	p = &e->body.packet;
	if (BPF_CORE_READ_BITFIELD_PROBED(packet, pkt_type) == PACKET_OTHERHOST)
		fill_frame(&e->body, packet);
	else if (p->ttl <= 1 && p->ifindex)
		e->body.ttl_before = ttl_before(&p->flow, p->ttl, e->event.netns);
	return 0;
}
