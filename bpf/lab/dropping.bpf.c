// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Drops or misleads what a client sends to one port, and what a server sends from it, or does not let it be dialled, as a network policy does. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* DROPPED_PORT and REDIRECTED_PORT of src/lab/dropping.ts. */
#define PORT bpf_htons(7443)
#define REDIRECTED bpf_htons(7444)

#define NO_DEVICE 0x7ffffffe

static __always_inline int is_of(void *ip, void *end, __be16 port)
{
	struct iphdr *v4 = ip;
	struct ipv6hdr *v6 = ip;
	struct tcphdr *tcp;

	if ((void *)(v4 + 1) > end)
		return 0;
	if (v4->version == 4 && v4->protocol == IPPROTO_TCP) {
		tcp = (void *)(v4 + 1);
	} else {
		if ((void *)(v6 + 1) > end || v6->nexthdr != IPPROTO_TCP)
			return 0;
		tcp = (void *)(v6 + 1);
	}
	return (void *)(tcp + 1) <= end && (tcp->dest == port || tcp->source == port);
}

static __always_inline int is_refused(void *ip, void *end)
{
	return is_of(ip, end, PORT);
}

SEC("tc")
int lab_policy_tc(struct __sk_buff *skb)
{
	void *ip = (void *)(long)skb->data + ETH_HLEN, *end = (void *)(long)skb->data_end;

	if (is_of(ip, end, REDIRECTED))
		return bpf_redirect(NO_DEVICE, 0);
	return is_refused(ip, end) ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("xdp")
int lab_policy_xdp(struct xdp_md *frame)
{
	void *data = (void *)(long)frame->data;

	return is_refused(data + ETH_HLEN, (void *)(long)frame->data_end) ? XDP_DROP : XDP_PASS;
}

SEC("cgroup_skb/egress")
int lab_policy_out(struct __sk_buff *skb)
{
	return !is_refused((void *)(long)skb->data, (void *)(long)skb->data_end);
}

SEC("cgroup/connect4")
int lab_policy_c4(struct bpf_sock_addr *dialled)
{
	return dialled->user_port != PORT;
}

SEC("cgroup/connect6")
int lab_policy_c6(struct bpf_sock_addr *dialled)
{
	return dialled->user_port != PORT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
