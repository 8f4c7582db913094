/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP errors that quote a segment of a connection, kept until that ends. */
#ifndef TCPWHY_ICMP_H
#define TCPWHY_ICMP_H

#include "hash.h"
#include "listener.h"
#include "reject.h"

extern struct {
} icmp_errors SEC(".maps");

/* Longer than a sender waits before it sends again, and hears of it again. */
#define ICMP_STALE_MS 130000
/* What ends a connect comes just before. */
#define ICMP_ENDS_MS 100

static __always_inline u64 icmp_key(const u8 *local, const u8 *remote, u32 ports, u32 netns)
{
	u64 words[5];

	__builtin_memcpy(words, local, 16);
	__builtin_memcpy(words + 2, remote, 16);
	words[4] = (u64)netns << 32 | ports;
	return hash_words(words, 5);
}

/* By what its SYN began with: what this host translates is quoted as it went out. */
static __always_inline u64 icmp_key_of_syn(u32 seq, u32 netns)
{
	u64 word = (u64)netns << 32 | seq;

	return hash_words(&word, 1);
}

/*
 * Of an error that has arrived, or is handled: what it quotes was sent from here. Whether from a port that
 * somebody has listened on: it may be a SYN-ACK.
 */
static __noinline __attribute__((unused)) int remember_icmp(const struct sk_buff *skb)
{
	const struct net_device *dev = BPF_CORE_READ(skb, dev);
	const u8 *at = BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, network_header);
	struct icmp_seen seen = {};
	struct segment s = {};
	union any_error e;
	u32 netns, *listened;
	u64 key;

	if (!read_quoted(skb, &s))
		return 0;
	if (BPF_CORE_READ(skb, protocol) == bpf_htons(ETH_P_IP)) {
		if (bpf_probe_read_kernel(&e.v4, sizeof(e.v4), at))
			return 0;
		map_ipv4(seen.from, e.v4.ip.saddr);
		seen.type = e.v4.icmp.type;
		seen.code = e.v4.icmp.code;
	} else {
		if (bpf_probe_read_kernel(&e.v6, sizeof(e.v6), at))
			return 0;
		__builtin_memcpy(seen.from, e.v6.ip.saddr, 16);
		seen.type = e.v6.icmp.type;
		seen.code = e.v6.icmp.code;
	}
	seen.ktime_ns = bpf_ktime_get_ns();
	seen.seq = s.seq;
	netns = netns_of(device_net(dev));
	key = icmp_key(s.saddr, s.daddr, (u32)s.sport << 16 | s.dport, netns);
	bpf_map_update_elem(&icmp_errors, &key, &seen, BPF_ANY);
	key = icmp_key_of_syn(s.seq, netns);
	bpf_map_update_elem(&icmp_errors, &key, &seen, BPF_ANY);
	listened = listened_on(s.sport);
	return listened && *listened;
}

static __always_inline u32 age_ms(const struct icmp_seen *seen)
{
	return (bpf_ktime_get_ns() - seen->ktime_ns) / 1000000;
}

static __always_inline const struct icmp_seen *icmp_for(const struct wire_flow *f, u32 netns)
{
	u64 key = icmp_key(f->saddr, f->daddr, f->sport << 16 | f->dport, netns);

	return bpf_map_lookup_elem(&icmp_errors, &key);
}

/* What came just now for a SYN that begins with `seq`, whatever its ends were on the way. */
static __always_inline const struct icmp_seen *icmp_for_syn(u32 seq, u32 netns)
{
	u64 key = icmp_key_of_syn(seq, netns);
	const struct icmp_seen *seen = bpf_map_lookup_elem(&icmp_errors, &key);

	return seen && age_ms(seen) <= ICMP_ENDS_MS ? seen : NULL;
}

static __always_inline void fill_icmp_seen(struct wire_icmp_error *w, const struct icmp_seen *seen)
{
	w->type = seen->type;
	w->code = seen->code;
	w->age_ms = age_ms(seen);
	w->seq = seen->seq;
	__builtin_memcpy(w->from, seen->from, 16);
}

static __always_inline void fill_icmp(struct wire_icmp_error *w, const struct wire_flow *f,
				      u32 netns)
{
	const struct icmp_seen *seen = icmp_for(f, netns);

	if (!seen || age_ms(seen) > ICMP_STALE_MS)
		return;
	fill_icmp_seen(w, seen);
}

#endif
