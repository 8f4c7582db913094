// SPDX-License-Identifier: Apache-2.0
//
// What of start.c is of this architecture.

#define MACHINE EM_AARCH64

// elf.ts knows the places of the first two: 16 bytes each.
__asm__(".section .first,\"ax\"\n"
	".globl _start\n"
	"_start:\n"
	"	mov x0, sp\n"
	"	b begin\n"
	"	.balign 16\n"
	"	b compare_exchange\n"
	"	.balign 16\n"
	"begin:\n"
	"	mov x29, xzr\n"
	"	mov x30, xzr\n"
	"	bl start\n"
	"	brk #0\n"
	".text\n");

static long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}

static _Noreturn void go_on(const uint64_t *stack, uintptr_t entry)
{
	__asm__ volatile("mov sp, %0\n"
			 "mov x0, xzr\n"
			 "mov x29, xzr\n"
			 "mov x30, xzr\n"
			 "br %1\n"
			 :
			 : "r"(stack), "r"(entry)
			 : "memory", "x0", "x30");
	__builtin_unreachable();
}
