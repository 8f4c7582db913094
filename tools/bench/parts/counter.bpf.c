// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The least that any tracing costs: one function entered, one number counted. */
#include "kernel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
} events SEC(".maps");

u64 entered = 0;

SEC("fentry/tcp_v4_send_reset")
int count_reset(void *ctx)
{
	entered++;
	return 0;
}
