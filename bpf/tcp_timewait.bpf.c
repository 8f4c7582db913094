// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Whose the segments were that a connection in TIME_WAIT refuses, where kfree_skb does not name the socket. */
#include "expected.h"

ON_ENTRY(tcp_timewait_state_process, timewait_checked, struct inet_timewait_sock *tw,
	 struct sk_buff *skb)
{
	remember_checked(skb, tw);
	return 0;
}
