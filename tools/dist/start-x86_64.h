// SPDX-License-Identifier: Apache-2.0
//
// What of start.c is of this architecture.

#define MACHINE EM_X86_64

// elf.ts knows the places of the first two: 16 bytes each.
__asm__(".section .first,\"ax\"\n"
	".globl _start\n"
	"_start:\n"
	"	mov %rsp, %rdi\n"
	"	jmp begin\n"
	"	.balign 16\n"
	"	jmp compare_exchange\n"
	"	.balign 16\n"
	"begin:\n"
	"	xor %ebp, %ebp\n"
	"	and $-16, %rsp\n"
	"	call start\n"
	"	hlt\n"
	".text\n");

static long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static _Noreturn void go_on(const uint64_t *stack, uintptr_t entry)
{
	__asm__ volatile("mov %0, %%rsp\n"
			 "xor %%edx, %%edx\n"
			 "xor %%ebp, %%ebp\n"
			 "jmp *%1\n"
			 :
			 : "r"(stack), "a"(entry)
			 : "memory");
	__builtin_unreachable();
}
