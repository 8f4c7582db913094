// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Segments that a connection refuses, where kfree_skb tells too little: before 6.11 it does not name
 * the socket, and before there were reasons (5.17) the socket frees them without a word.
 */
#include "drop.h"
#include "hooks.h"

/* Every segment off the fast path is checked here, and freed a moment later if it is refused. */
ON_ENTRY(tcp_validate_incoming, segment_checked, struct sock *sk, struct sk_buff *skb)
{
	remember_checked(skb, sk);
	return 0;
}

/* Data on the fast path is not checked; where there is no room for it, this makes some or it is freed. */
ON_ENTRY(tcp_prune_ofo_queue, room_sought, struct sock *sk)
{
	remember_no_room(sk);
	return 0;
}

/*
 * Whether a reset has a number that tcp_validate_incoming() does not believe. Where something is missing
 * it also believes the number after all that has come: then nothing is said of those that are ahead.
 */
static __always_inline bool is_unbelievable(const struct sock *sk, const struct sk_buff *skb)
{
	const struct tcp_sock *tp = (const void *)sk;
	u32 next = BPF_CORE_READ(tp, rcv_nxt);
	u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	struct segment s;

	if (!read_segment(skb, &s) || s.seq == next)
		return false;
	if (s.seq == next - 1)
		return !has_finished(state);
	return before(s.seq, next) || !BPF_CORE_READ(tp, rx_opt.num_sacks);
}

/* Every SYN that comes as far is refused. */
ON_ENTRY(tcp_validate_incoming, syn_checked, struct sock *sk, struct sk_buff *skb,
	 const struct tcphdr *th)
{
	if (MEMBER_BITS(th, syn) || (MEMBER_BITS(th, rst) && is_unbelievable(sk, skb)))
		dropped(ctx, SCRATCH_REFUSED, skb, NULL, 0, sk, NULL, false);
	return 0;
}

/* The answer to other segments that are outside of the window or too old. */
ON_ENTRY(tcp_send_dupack, refusal_answered, struct sock *sk, const struct sk_buff *skb)
{
	struct segment s;

	if (read_segment(skb, &s) && !(s.flags & TCP_SYN))
		dropped(ctx, SCRATCH_REFUSED, skb, NULL, 0, sk, NULL, false);
	return 0;
}
