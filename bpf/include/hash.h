/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TCPWHY_HASH_H
#define TCPWHY_HASH_H

#include "kernel.h"

/* Never 0. Of 64 bits: that two keys share one is not to be expected. */
static __always_inline u64 hash_words(const u64 *words, u32 count)
{
	u64 h = 0x9e3779b97f4a7c15ull;

	for (u32 i = 0; i < count; i++) {
		h = (h ^ words[i]) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	return h ? h : 1;
}

#endif
