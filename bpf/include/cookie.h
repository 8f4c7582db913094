/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether a segment that a listener answers with a reset had a SYN cookie that failed: SyncookiesFailed
 * moved for it. The exit of cookie_v4_check() tells. Where functions are not hooked the counter is read
 * when a segment arrives and when it is answered, but only while the kernel may look for cookies at all.
 */
#ifndef TCPWHY_COOKIE_H
#define TCPWHY_COOKIE_H

#include "mib.h"

extern struct {
} cookie_check SEC(".maps"), cookies_sent SEC(".maps");

/* TCP_SYNCOOKIE_VALID, and a second to spare: after that the kernel does not look for any. */
#define COOKIES_VALID_NS 121000000000ull

static __always_inline struct cookie_check *this_cpu_cookie_check(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&cookie_check, &zero);
}

/* By anyone, ever. */
static __always_inline __attribute__((unused)) bool cookies_were_sent(void)
{
	u32 zero = 0;
	u64 *sent = bpf_map_lookup_elem(&cookies_sent, &zero);

	return sent && *sent;
}

static __always_inline void cookie_sent(void)
{
	u64 now = bpf_ktime_get_ns();
	u32 zero = 0;

	bpf_map_update_elem(&cookies_sent, &zero, &now, BPF_ANY);
}

static __always_inline __attribute__((unused)) void cookie_failed(const struct sk_buff *skb)
{
	struct cookie_check *c = this_cpu_cookie_check();

	if (c)
		store_pointer(&c->skb, skb);
}

/* A segment that may have a cookie arrives. The namespace is the hook's own: its members are read directly. */
static __always_inline __attribute__((unused)) void watch_cookie(const struct net *net)
{
	u32 zero = 0, index = mib_index[MIB_SLOT_SYNCOOKIES_FAILED];
	u64 *sent = bpf_map_lookup_elem(&cookies_sent, &zero);
	struct cookie_check *c;

	if (!sent || !*sent || index == 0xffff)
		return;
	c = this_cpu_cookie_check();
	if (!c)
		return;
	c->counter = 0;
	if (bpf_ktime_get_ns() - *sent > COOKIES_VALID_NS)
		return;
	c->counter = pointer_value(&c->counter, MEMBER(net, mib.net_statistics)) +
		     this_cpu_distance() + index * 8;
	c->failed = read_counter(c->counter);
	c->netns = MEMBER(net, ns.inum);
}

/* To be asked once of each segment that a listener answers. */
static __always_inline bool has_failed_cookie(const struct sk_buff *skb, u32 netns)
{
	struct cookie_check *c = this_cpu_cookie_check();
	u64 before;

	if (!c)
		return false;
	if (c->skb == (u64)skb) {
		c->skb = 0;
		return true;
	}
	if (!c->counter || c->netns != netns)
		return false;
	before = c->failed;
	c->failed = read_counter(c->counter);
	return c->failed != before;
}

#endif
