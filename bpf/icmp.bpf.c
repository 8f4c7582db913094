// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* ICMP errors as TCP is told of them. */
#include "hooks.h"
#include "icmp.h"

ON_ENTRY(tcp_v4_err, v4_error, struct sk_buff *skb)
{
	return remember_icmp(skb);
}

ON_ENTRY(tcp_v6_err, v6_error, struct sk_buff *skb)
{
	return remember_icmp(skb);
}
