// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where a packet's route leads. */
#include "route.h"
#include "segment.h"

__noinline u64 route_of(u64 skb)
{
	const struct net_device *dev = route_device((const void *)skb);

	return dev ? (u64)BPF_CORE_READ(dev, mtu) << 32 | BPF_CORE_READ(dev, ifindex) : 0;
}
