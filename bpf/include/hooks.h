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

#else

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

#endif

/* Of a pointer that a hook handed to the program, or of any other. */
#define READ(trusted, pointer, member) \
	((trusted) ? MEMBER(pointer, member) : BPF_CORE_READ(pointer, member))

#endif
