/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Kernel pointers as numbers: the verifier allows no arithmetic on them as they are. */
#ifndef TCPWHY_POINTER_H
#define TCPWHY_POINTER_H

#include "kernel.h"

/*
 * A pointer's low half as a number. A move of 32 bits makes it one for the verifier, which allows no
 * arithmetic on the pointer itself; without it the compiler decides whether the program loads.
 */
static __always_inline u32 low_half(u64 pointer)
{
	u32 low;

	asm volatile("%0 = %1" : "=w"(low) : "w"((u32)pointer));
	return low;
}

/* One store of eight bytes: the verifier refuses to take a pointer apart. */
static __always_inline void store_pointer(void *to, const void *pointer)
{
	*(volatile u64 *)to = (u64)pointer;
}

/* A pointer as a number, by way of `through`, which must be in a map: the stack remembers pointers. */
static __always_inline u64 pointer_value(u64 *through, const void *pointer)
{
	store_pointer(through, pointer);
	return *(volatile u64 *)through;
}

/* The pointer that lies at an address, 0 where that cannot be read. */
static __always_inline __attribute__((unused)) u64 read_pointer(u64 address)
{
	u64 pointer = 0;

	bpf_probe_read_kernel(&pointer, sizeof(pointer), (const void *)address);
	return pointer;
}

#endif
