// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * connect() and bind() as they return: what the host itself refuses leaves no packet, and most of it
 * changes no state of the socket. Where nothing better can be had syscall_returns watches them:
 * peer_name.bpf.c.
 */
#include "call_failed.h"

#ifndef PROBES
SEC("fexit/" SYSCALL(connect))
int BPF_PROG(connect_returns, const struct pt_regs *regs, long ret)
{
	connect_ended(ctx, regs, ret);
	return 0;
}

SEC("fexit/" SYSCALL(bind))
int BPF_PROG(bind_returns, const struct pt_regs *regs, long ret)
{
	bind_ended(ctx, regs, ret);
	return 0;
}

SEC("tp/syscalls/sys_exit_connect")
int connect_ends(struct syscall_trace_exit *event)
{
	long ret = event->ret;

	if (ret < 0)
		connect_ended(event, (void *)bpf_task_pt_regs(bpf_get_current_task_btf()), ret);
	return 0;
}

SEC("tp/syscalls/sys_exit_bind")
int bind_ends(struct syscall_trace_exit *event)
{
	long ret = event->ret;

	if (ret < 0)
		bind_ended(event, (void *)bpf_task_pt_regs(bpf_get_current_task_btf()), ret);
	return 0;
}
#endif
