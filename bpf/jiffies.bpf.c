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

/* CONFIG_HZ, which has no other values; 0 where it cannot be told. */
static __noinline u32 jiffies_per_s(void)
{
	const u32 rates[] = { 100, 250, 300, 1000 };
	u64 jiffies = apart(bpf_jiffies64(), 1ull << 32);
	u64 ms = apart(bpf_ktime_get_ns() / 1000000, WRAPS_AT_MS);

	if (ms < NEAR_WRAP_MS)
		return 0;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		/* Within an eighth: the nearest two are a sixth apart. */
		if (apart(jiffies * 1000, ms * rates[i]) * 8 < ms * rates[i])
			return rates[i];
	}
	return 0;
}

__noinline u32 ms_of(u32 jiffies)
{
	u32 rate = jiffies_per_s();

	return rate ? jiffies * 1000ull / rate : 0;
}

__noinline u32 ms_since(u32 jiffies32)
{
	u32 age = (u32)bpf_jiffies64() - jiffies32;

	return age >> 31 ? 0 : ms_of(age);
}
