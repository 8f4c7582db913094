// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Puts the port and address that a client dials from into the TCP option that balancers use, in
 * every segment of its own: whoever translates the address further on need not know of it.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2

struct toa {
	__u8 kind;
	__u8 length;
	__be16 port;
	__be32 address;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} toa_kind SEC(".maps");

static void store(struct bpf_sock_ops *ctx)
{
	__u32 key = 0;
	__u32 *kind = bpf_map_lookup_elem(&toa_kind, &key);
	struct toa toa = {
		.kind = kind ? *kind : 0,
		.length = sizeof(toa),
		.port = bpf_htons(ctx->local_port),
		.address = ctx->local_ip4,
	};

	bpf_store_hdr_opt(ctx, &toa, sizeof(toa), 0);
}

SEC("sockops")
int toa_sender(struct bpf_sock_ops *ctx)
{
	if (ctx->family != AF_INET)
		return 1;
	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		bpf_sock_ops_cb_flags_set(ctx, BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
		break;
	case BPF_SOCK_OPS_HDR_OPT_LEN_CB:
		bpf_reserve_hdr_opt(ctx, sizeof(struct toa), 0);
		break;
	case BPF_SOCK_OPS_WRITE_HDR_OPT_CB:
		store(ctx);
		break;
	}
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
