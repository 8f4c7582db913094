/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where programs run. Each source is compiled twice: for trampolines (fentry, fexit, tp_btf), and
 * with PROBES for kprobes and raw tracepoints, which kernels without trampolines (arm64 before 6.0)
 * or without BTF of their own have too. There the verifier knows no types: what a hook hands to the
 * program is read through helpers, and what returns has no arguments.
 */
#ifndef TCPWHY_HOOKS_H
#define TCPWHY_HOOKS_H

#include "kernel.h"

#ifdef PROBES

#define ON_TRACEPOINT(tracepoint, name, args...) \
	SEC("raw_tp/" #tracepoint)               \
	int BPF_PROG(name##_probe, args)
#define ON_ENTRY(function, name, args...) \
	SEC("kprobe/" #function)          \
	int BPF_KPROBE(name##_probe, args)
#define ON_EXIT(function, name, args...) \
	SEC("kretprobe/" #function)      \
	int name##_probe(struct pt_regs *ctx)
/* An argument of a function that returns: as it was remembered at its entry. */
#define EXITING(argument, remembered) (remembered)
/* What a function that returns gives: the parameter after its own. */
#define RESULT(parameter) PT_REGS_RC(ctx)
#define MEMBER(pointer, member) BPF_CORE_READ(pointer, member)
#define MEMBER_BITS(pointer, member) BPF_CORE_READ_BITFIELD_PROBED(pointer, member)
#define POINTER_MEMBER(pointer, member) MEMBER(pointer, member)

#else

enum kernel_type {
	KERNEL_TASK,
	KERNEL_SOCK,
	KERNEL_SKB,
};

/* One function for all: bpf-linker takes the first type of one source for the first of any other. */
static __always_inline u32 kernel_type_id(enum kernel_type type)
{
	u32 task = bpf_core_type_id_kernel(struct task_struct);
	u32 sock = bpf_core_type_id_kernel(struct sock);
	u32 skb = bpf_core_type_id_kernel(struct sk_buff);

	return type == KERNEL_TASK ? task : type == KERNEL_SOCK ? sock : skb;
}

extern void *bpf_rdonly_cast(const void *pointer, u32 type) __ksym __weak;

static __always_inline const void *distrust(const void *pointer, enum kernel_type type)
{
	return bpf_rdonly_cast ? bpf_rdonly_cast(pointer, kernel_type_id(type)) : pointer;
}

/*
 * For each pointer that is read through one that the verifier trusts, and on each path, it looks
 * through the names of all the kernel's types (btf_nested_type_is_trusted, from Linux 6.2), which was a
 * third of what starting took. This makes it distrust the pointer, at no cost; before 6.2 there is no
 * such function, and nothing to distrust.
 */
#define UNTRUSTED(pointer)                                                  \
	((typeof(pointer))distrust((pointer), _Generic(*(pointer),          \
					   struct task_struct: KERNEL_TASK, \
					   struct sock: KERNEL_SOCK,        \
					   struct sk_buff: KERNEL_SKB)))

#define ON_TRACEPOINT(tracepoint, name, args...) \
	SEC("tp_btf/" #tracepoint)               \
	int BPF_PROG(name, args)
#define ON_ENTRY(function, name, args...) \
	SEC("fentry/" #function)          \
	int BPF_PROG(name, args)
#define ON_EXIT(function, name, args...) \
	SEC("fexit/" #function)          \
	int BPF_PROG(name, args)
#define EXITING(argument, remembered) (argument)
#define RESULT(parameter) (parameter)
/* An instruction where a helper call takes 60. */
#define MEMBER(pointer, member) ((pointer)->member)
#define MEMBER_BITS(pointer, member) BPF_CORE_READ_BITFIELD(pointer, member)
/* Of a member that is a pointer to a struct. */
#define POINTER_MEMBER(pointer, member) (UNTRUSTED(pointer)->member)

#endif

/* Of a pointer that a hook handed to the program, or of any other. */
#define READ(trusted, pointer, member) \
	((trusted) ? MEMBER(pointer, member) : BPF_CORE_READ(pointer, member))
#define READ_POINTER(trusted, pointer, member) \
	((trusted) ? POINTER_MEMBER(pointer, member) : BPF_CORE_READ(pointer, member))

#endif
