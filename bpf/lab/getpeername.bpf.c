// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Shows a balancer's connections as those of the client behind it, as a TOA module does. */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define IP4(a, b, c, d) bpf_htonl((__u32)(a) << 24 | (b) << 16 | (c) << 8 | (d))

/* HOSTS of src/lab/wiring.ts. */
#define BALANCER4 IP4(10, 141, 16, 7)
#define CLIENT4 IP4(10, 4, 26, 45)
#define MAPPED bpf_htonl(0xffff)
#define PREFIX6 bpf_htonl(0x20010db8)
#define BALANCER6_SUBNET bpf_htonl(0x00160000)
#define CLIENT6_SUBNET bpf_htonl(0x00260000)
#define CLIENT6_HOST bpf_htonl(0x45)

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	if (ctx->user_ip4 == BALANCER4)
		ctx->user_ip4 = CLIENT4;
	return 1;
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx)
{
	/* Of an IPv4 connection to an IPv6 socket. */
	if (!ctx->user_ip6[0] && !ctx->user_ip6[1] && ctx->user_ip6[2] == MAPPED &&
	    ctx->user_ip6[3] == BALANCER4)
		ctx->user_ip6[3] = CLIENT4;
	if (ctx->user_ip6[0] == PREFIX6 && ctx->user_ip6[1] == BALANCER6_SUBNET) {
		ctx->user_ip6[1] = CLIENT6_SUBNET;
		ctx->user_ip6[3] = CLIENT6_HOST;
	}
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
