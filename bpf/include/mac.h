/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Link-layer addresses of Ethernet, as numbers: the first byte is the lowest. */
#ifndef TCPWHY_MAC_H
#define TCPWHY_MAC_H

#include "kernel.h"

#define ARPHRD_ETHER 1
#define MAC_BYTES 6

static __always_inline u64 read_mac(const unsigned char *at)
{
	u64 mac = 0;

	bpf_probe_read_kernel(&mac, MAC_BYTES, at);
	return mac;
}

/* '0' to '9' and 'a' to 'f', without a branch. */
static __always_inline u8 digit(u8 n)
{
	return '0' + n + ((9 - (int)n) >> 31 & ('a' - '9' - 1));
}

static __always_inline void fill_mac(u8 *text, u64 mac)
{
#pragma unroll
	for (int i = 0; i < MAC_BYTES; i++) {
		text[2 * i] = digit(mac >> (8 * i + 4) & 15);
		text[2 * i + 1] = digit(mac >> (8 * i) & 15);
	}
}

#endif
