// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Refuses SYNs as the policy of a security module does. */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* UNHEARD_PORT and UNWANTED_PORT of src/lab/security.ts. */
#define UNHEARD 7445
#define UNWANTED 7446

#define EPERM 1

/* Before the listener sees the segment. */
SEC("lsm/socket_sock_rcv_skb")
int BPF_PROG(lab_policy_hear, struct sock *sk)
{
	return sk->__sk_common.skc_num == UNHEARD ? -EPERM : 0;
}

/* As the listener makes a half-open connection of it. */
SEC("lsm/inet_conn_request")
int BPF_PROG(lab_policy_want, const struct sock *sk)
{
	return sk->__sk_common.skc_num == UNWANTED ? -EPERM : 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
