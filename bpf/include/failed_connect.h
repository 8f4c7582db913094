/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which processes had a connect fail a moment ago: what they close then may be closed because of it. */
#ifndef TCPWHY_FAILED_CONNECT_H
#define TCPWHY_FAILED_CONNECT_H

#include "sock.h"

extern struct {
} failed_connects SEC(".maps");

/* One to ten seconds, as the kernel is built: who reads the records looks at the time itself. */
#define FAILED_JIFFIES 1000

/* Of the last one, whosever it was. */
static volatile u64 failed_jiffy;

static __always_inline struct failed_connect *failed_connect_of(u32 pid)
{
	u32 slot = pid & (FAILED_CONNECT_SLOTS - 1);

	return bpf_map_lookup_elem(&failed_connects, &slot);
}

/* Processes that share a place take it from each other. */
static __always_inline void remember_failed_connect(u32 pid)
{
	struct failed_connect *f = failed_connect_of(pid);

	if (!f)
		return;
	f->jiffy = bpf_jiffies64();
	f->pid = pid;
	failed_jiffy = f->jiffy;
}

/* close() and shutdown() run for the process. */
static __always_inline bool closes_after_failed_connect(int new_state)
{
	struct failed_connect *f;
	u32 pid;

	if (new_state != TCP_FIN_WAIT1 && new_state != TCP_LAST_ACK)
		return false;
	if (bpf_jiffies64() - failed_jiffy >= FAILED_JIFFIES)
		return false;
	pid = bpf_get_current_pid_tgid() >> 32;
	f = failed_connect_of(pid);
	return f && f->pid == pid && bpf_jiffies64() - f->jiffy < FAILED_JIFFIES;
}

#endif
