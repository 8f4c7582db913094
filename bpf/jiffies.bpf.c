// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How long a jiffy is, which the kernel tells nobody: jiffies and the monotonic clock began together. */
#include "sock.h"

/* jiffies_64 begins so long before it passes 2^32. */
#define WRAPS_AT_MS 300000ull
/* Near that nothing can be told; the boot's first moments count in one of both clocks only. */
#define NEAR_WRAP_MS 10000ull

static __always_inline u64 apart(u64 a, u64 b)
{
	return a > b ? a - b : b - a;
}

__noinline u32 ms_since(u32 jiffies32)
{
	u64 now = bpf_jiffies64(), now_ms = bpf_ktime_get_ns() / 1000000;
	u64 jiffies = apart(now, 1ull << 32), ms = apart(now_ms, WRAPS_AT_MS);
	u32 age = (u32)now - jiffies32;

	if (!jiffies || ms < NEAR_WRAP_MS || age >> 31)
		return 0;
	return age * ms / jiffies;
}
