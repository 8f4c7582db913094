/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the tables of TCP sockets are. Kernels from 5.17 to 6.0 name them in no namespace, only every
 * socket's protocol does; there is one for all, which is remembered when a socket connects or listens.
 */
#ifndef TCPWHY_HASHINFO_H
#define TCPWHY_HASHINFO_H

#include "hooks.h"
#include "pointer.h"

extern struct {
} hashinfo SEC(".maps");

#define NAMESPACE_HAS_HASHINFO bpf_core_field_exists(struct net, ipv4.tcp_death_row.hashinfo)

static __always_inline __attribute__((unused)) void remember_hashinfo(const struct sock *sk)
{
	const struct proto *prot;
	u32 zero = 0;
	u64 *seen;

	if (NAMESPACE_HAS_HASHINFO)
		return;
	prot = BPF_CORE_READ(sk, __sk_common.skc_prot);
	seen = bpf_map_lookup_elem(&hashinfo, &zero);
	if (seen)
		store_pointer(seen, BPF_CORE_READ(prot, h.hashinfo));
}

static __always_inline __attribute__((unused)) u64 hashinfo_of(const struct net *net)
{
	u32 zero = 0;
	u64 *seen;

	if (NAMESPACE_HAS_HASHINFO)
		return (u64)BPF_CORE_READ(net, ipv4.tcp_death_row.hashinfo);
	seen = bpf_map_lookup_elem(&hashinfo, &zero);
	return seen ? *seen : 0;
}

#endif
