// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* TCP segments that the kernel frees as dropped, with its reason. */
#include "drop.h"

extern struct {
} pending_reset SEC(".maps");

static __always_inline int ends(void *ctx, const struct sk_buff *skb, void *location, u32 reason,
				const struct sock *sk, bool no_reason)
{
	u32 zero = 0;
	struct pending_reset *r = bpf_map_lookup_elem(&pending_reset, &zero);
	struct brackets *b;

	/* Answered with a reset a moment ago: one failure, told of already. */
	if (r && r->answered == (u64)skb) {
		r->answered = 0;
		return 0;
	}
	b = end_bracket(skb);
	dropped(ctx, SCRATCH_DROP, skb, location, reason, sk, b, no_reason);
	if (b)
		next_bracket(b);
	return 0;
}

/* The socket that checked this segment last, if it is one for it: remember_checked(). */
static __always_inline const struct sock *checked_by(const struct sk_buff *skb)
{
	u32 zero = 0;
	struct checked *c = bpf_map_lookup_elem(&checked, &zero);
	const struct sock *sk;
	struct segment s;

	if (!c || c->skb != (u64)skb)
		return NULL;
	c->skb = 0;
	sk = (const void *)c->sk;
	return read_segment(skb, &s) && BPF_CORE_READ(sk, __sk_common.skc_num) == s.dport &&
			       BPF_CORE_READ(sk, __sk_common.skc_dport) == bpf_htons(s.sport)
		       ? sk
		       : NULL;
}

/* The kernel leaves this mark where it computed the checksum itself and it did not fit. */
static __always_inline bool is_damaged(const struct sk_buff *skb)
{
	return BPF_CORE_READ_BITFIELD_PROBED(skb, csum_complete_sw) &&
	       !BPF_CORE_READ_BITFIELD_PROBED(skb, csum_valid);
}

static __always_inline void note_without_reason(const struct sk_buff *skb)
{
	u32 zero = 0;
	struct reasonless *r = bpf_map_lookup_elem(&reasonless, &zero);

	if (!r)
		return;
	if (r->checked != (u64)skb)
		r->source_errno = 0;
	r->checked = 0;
	r->damaged = is_damaged(skb);
}

/*
 * Where there are no reasons this tells the reverse path filter from a route that is missing. The
 * function has more parameters than a trampoline of such a kernel takes: only probes can see it.
 */
#ifdef PROBES

ON_ENTRY(fib_validate_source, source_check_begins, struct sk_buff *skb)
{
	u32 zero = 0;
	struct reasonless *r = bpf_map_lookup_elem(&reasonless, &zero);

	if (!r)
		return 0;
	store_pointer(&r->checked, skb);
	r->source_errno = 0;
	return 0;
}

ON_EXIT(fib_validate_source, source_check_ends)
{
	u32 zero = 0;
	struct reasonless *r = bpf_map_lookup_elem(&reasonless, &zero);
	int result = RESULT();

	if (r && result < 0)
		r->source_errno = -result;
	return 0;
}

#endif

/* The tracepoint grew twice; userspace loads the one that fits. */
ON_TRACEPOINT(kfree_skb, packet_dropped, struct sk_buff *skb, void *location, u32 reason,
	      struct sock *rx_sk)
{
	return ends(ctx, skb, location, reason, rx_sk, false);
}

ON_TRACEPOINT(kfree_skb, packet_dropped_without_sock, struct sk_buff *skb, void *location,
	      u32 reason)
{
	return ends(ctx, skb, location, reason, checked_by(skb), false);
}

ON_TRACEPOINT(kfree_skb, packet_dropped_without_reason, struct sk_buff *skb, void *location)
{
	note_without_reason(skb);
	return ends(ctx, skb, location, 0, checked_by(skb), true);
}
