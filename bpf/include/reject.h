/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a rule that rejects answers to a packet, just before it drops it. */
#ifndef TCPWHY_REJECT_H
#define TCPWHY_REJECT_H

#include "segment.h"

extern struct {
} last_reject SEC(".maps");

enum reject_answer { ANSWER_NONE, ANSWER_RESET, ANSWER_UNREACHABLE };

/* The answer leaves within the call that then drops the packet; its retransmission comes later. */
#define REJECT_STALE_NS 200000000

static __always_inline struct last_reject *this_cpu_reject(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&last_reject, &zero);
}

static __always_inline bool same_ends(const struct segment *a, const u8 *saddr, const u8 *daddr,
				      u16 sport, u16 dport)
{
	const u64 *from = (const u64 *)a->saddr, *to = (const u64 *)a->daddr;
	const u64 *s = (const u64 *)saddr, *d = (const u64 *)daddr;

	return from[0] == s[0] && from[1] == s[1] && to[0] == d[0] && to[1] == d[1] &&
	       a->sport == sport && a->dport == dport;
}

/* A reset that answers exactly this segment: RFC 9293, 3.10.7.1. */
static __always_inline bool resets(const struct segment *reset, const struct segment *s)
{
	u32 next = s->seq + s->payload_len + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN);

	return same_ends(reset, s->daddr, s->saddr, s->dport, s->sport) &&
	       (s->flags & TCP_ACK ? reset->seq == s->ack_seq : reset->ack_seq == next);
}

static __always_inline bool quotes(const struct segment *quoted, const struct segment *s)
{
	return same_ends(quoted, s->saddr, s->daddr, s->sport, s->dport) && quoted->seq == s->seq;
}

/* How this packet, which is dropped now, was answered just before. */
static __noinline __attribute__((unused)) u32 reject_answer(const struct sk_buff *skb,
							    const struct segment *s)
{
	struct last_reject *r = this_cpu_reject();
	u32 answer;

	if (!r || !r->answer)
		return ANSWER_NONE;
	answer = r->answer;
	r->answer = ANSWER_NONE;
	if (bpf_ktime_get_ns() - r->ktime_ns > REJECT_STALE_NS)
		return ANSWER_NONE;
	if (r->skb)
		return r->skb == (u64)skb ? answer : ANSWER_NONE;
	if (answer == ANSWER_RESET)
		return resets(&r->segment, s) ? answer : ANSWER_NONE;
	return quotes(&r->segment, s) ? answer : ANSWER_NONE;
}

/* As much of a segment as every ICMP error quotes. */
struct quoted_tcp {
	__be16 source;
	__be16 dest;
	__be32 seq;
};

struct icmp_error {
	u8 type;
	u8 code;
	__be16 check;
	__be32 unused;
};

struct ipv4_error {
	struct ipv4_header ip;
	struct icmp_error icmp;
	struct ipv4_header quoted_ip;
	struct quoted_tcp th;
};

struct ipv6_error {
	struct ipv6_header ip;
	struct icmp_error icmp;
	struct ipv6_header quoted_ip;
	struct quoted_tcp th;
};

union any_error {
	struct ipv4_error v4;
	struct ipv6_error v6;
};

/* The TCP segment that an ICMP error quotes, with the type of the error in place of its flags. */
static __noinline __attribute__((unused)) bool read_quoted(const struct sk_buff *skb,
							   struct segment *s)
{
	u16 protocol = bpf_ntohs(BPF_CORE_READ(skb, protocol));
	const u8 *at = BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, network_header);
	const struct quoted_tcp *th;
	union any_error e;

	if (protocol == ETH_P_IP) {
		if (bpf_probe_read_kernel(&e.v4, sizeof(e.v4), at) ||
		    !icmp_error_flag(e.v4.ip.protocol, e.v4.icmp.type) ||
		    e.v4.quoted_ip.protocol != IPPROTO_TCP)
			return false;
		map_ipv4(s->saddr, e.v4.quoted_ip.saddr);
		map_ipv4(s->daddr, e.v4.quoted_ip.daddr);
		s->flags = e.v4.icmp.type;
		th = &e.v4.th;
	} else {
		if (protocol != ETH_P_IPV6 || bpf_probe_read_kernel(&e.v6, sizeof(e.v6), at) ||
		    !icmp_error_flag(e.v6.ip.nexthdr, e.v6.icmp.type) ||
		    e.v6.quoted_ip.nexthdr != IPPROTO_TCP)
			return false;
		__builtin_memcpy(s->saddr, e.v6.quoted_ip.saddr, 16);
		__builtin_memcpy(s->daddr, e.v6.quoted_ip.daddr, 16);
		s->flags = e.v6.icmp.type;
		th = &e.v6.th;
	}
	s->sport = bpf_ntohs(th->source);
	s->dport = bpf_ntohs(th->dest);
	s->seq = bpf_ntohl(th->seq);
	return true;
}

#endif
