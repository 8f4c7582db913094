// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* TCP segments that the kernel frees as dropped, with its reason. */
#include "answer.h"
#include "drop.h"
#include "handshake.h"

extern struct {
} pending_reset SEC(".maps");

static __always_inline struct pending_reset *this_cpu_reset(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&pending_reset, &zero);
}

/* Answered with a reset a moment ago: one failure, told of already. */
static __always_inline bool was_answered(struct pending_reset *r, const struct sk_buff *skb)
{
	if (!r || r->answered != (u64)skb)
		return false;
	r->answered = 0;
	return true;
}

/* The peer's FIN in the queue of a socket that closes: nothing was in it, and the kernel has taken it. */
static __always_inline bool is_taken_fin(const struct sk_buff *skb)
{
	const struct sock *sk = MEMBER(skb, sk);

	return sk && !MEMBER(skb, len) && MEMBER(sk, __sk_common.skc_state) == TCP_CLOSE;
}

/* It was not: a reset, which may be one that somebody waits for. */
static __noinline int ends_unheard(void *ctx, const struct sk_buff *skb)
{
	void *e = record_buffer(SCRATCH_DROP);
	const struct net *net = packet_net(skb, NULL);
	struct segment *s;

	if (!e)
		return 0;
	s = segment_area(e);
	if (read_segment(skb, s) && s->flags & TCP_RST)
		report_crossed(ctx, skb, s, net, netns_of(net), NULL, CROSSED_DROP,
			       wanted_packet(netns_of(net), s, skb));
	return 0;
}

/*
 * A packet that was about to be answered: it was, where OutRsts moved. The socket may be gone, but its
 * memory is of a socket yet, and nothing on this CPU has taken it.
 */
static __noinline int ends_answered(void *ctx, struct pending_reset *r, const struct sk_buff *skb)
{
	answer(ctx, (const void *)r->sk, skb, r->netns, 0);
	return 0;
}

/* Each from here: five calls deep there is no more stack in Linux before 6.10, which rounds each up to 32 bytes. */
static __always_inline int ends_pending(void *ctx, struct pending_reset *r,
					const struct sk_buff *skb)
{
	r->skb = 0;
	if (read_counter(r->counter) != r->out_rsts)
		return ends_answered(ctx, r, skb);
	if (REFUSALS_ARE_DROPS && !r->sk)
		return ends_unheard(ctx, skb);
	return 0;
}

/* Much more than it takes until it is freed: one that never was may have left its place to another. */
#define ANSWER_JIFFIES 1000

static __always_inline bool may_be_answered(const struct pending_reset *r,
					    const struct sk_buff *skb)
{
	return r && r->skb == (u64)skb && bpf_jiffies64() - r->jiffy < ANSWER_JIFFIES;
}

/* What should have completed a handshake: the counters that moved say why it did not. */
static __noinline int refused(void *ctx, const struct sk_buff *skb)
{
	struct brackets *b = leave(skb);

	if (!b)
		return 0;
	if (b->request)
		remember_checked(skb, (const void *)b->request);
	if (read_after(b))
		report_refusal(ctx, b, skb, false, SCRATCH_REQUEST, (const void *)b->sk);
	return 0;
}

static __always_inline int ends(void *ctx, const struct sk_buff *skb, void *location, u32 reason,
				const struct sock *sk, bool no_reason)
{
	struct brackets *b = end_bracket(skb);

	dropped(ctx, SCRATCH_DROP, skb, location, reason, sk, b, no_reason);
	if (b)
		next_bracket(b);
	return 0;
}

/* The socket that checked this segment last, if it is one for it: remember_checked(). */
static __always_inline const struct sock *checked_by(const struct sk_buff *skb, u32 reason)
{
	u32 zero = 0;
	struct checked *c = bpf_map_lookup_elem(&checked, &zero);
	void *e = record_buffer(SCRATCH_DROP);
	const struct sock *sk;
	struct segment *s;

	if (!c || !e)
		return NULL;
	if (c->skb == (u64)skb)
		c->skb = 0;
	else if (c->skb != NO_ROOM || !is_without_room(reason))
		return NULL;
	sk = (const void *)c->sk;
	s = segment_area(e);
	return read_segment(skb, s) && BPF_CORE_READ(sk, __sk_common.skc_num) == s->dport &&
			       BPF_CORE_READ(sk, __sk_common.skc_dport) == bpf_htons(s->sport)
		       ? sk
		       : NULL;
}

/* With a stack of its own, as ends_answered() has. */
static __noinline int ends_unanswered(void *ctx, const struct sk_buff *skb, void *location,
				      u32 reason, bool no_reason)
{
	return ends(ctx, skb, location, reason, checked_by(skb, reason), no_reason);
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

/* It was answered, and told of as that: what moved meanwhile is no other packet's. */
static __noinline int ends_told(const struct sk_buff *skb)
{
	struct brackets *b = end_bracket(skb);

	if (b)
		next_bracket(b);
	return 0;
}

/* The tracepoint grew twice; userspace loads the one that fits. */
ON_TRACEPOINT(kfree_skb, packet_dropped, struct sk_buff *skb, void *location, u32 reason,
	      struct sock *rx_sk)
{
	if (is_taken_fin(skb))
		return 0;
	if (may_be_refused(skb))
		refused(ctx, skb);
	if (was_answered(this_cpu_reset(), skb))
		return ends_told(skb);
	return ends(ctx, skb, location, reason, rx_sk, false);
}

ON_TRACEPOINT(kfree_skb, packet_dropped_without_sock, struct sk_buff *skb, void *location,
	      u32 reason)
{
	struct pending_reset *r = this_cpu_reset();

	if (is_taken_fin(skb))
		return 0;
	if (may_be_refused(skb))
		refused(ctx, skb);
	if (may_be_answered(r, skb))
		return ends_pending(ctx, r, skb);
	if (was_answered(r, skb))
		return 0;
	return ends_unanswered(ctx, skb, location, reason, false);
}

ON_TRACEPOINT(kfree_skb, packet_dropped_without_reason, struct sk_buff *skb, void *location)
{
	struct pending_reset *r = this_cpu_reset();

	if (is_taken_fin(skb))
		return 0;
	note_without_reason(skb);
	if (may_be_refused(skb))
		refused(ctx, skb);
	if (may_be_answered(r, skb))
		return ends_pending(ctx, r, skb);
	return ends_unanswered(ctx, skb, location, 0, true);
}
