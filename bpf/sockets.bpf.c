// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What was there before tcpwhy: owners first (task_file), then the sockets themselves (tcp). */
#include "emit.h"
#include "filter.h"
#include "service.h"
#include "shown_peer.h"

SEC("iter/task_file")
int existing_owners(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct sock *sk;
	u64 id;

	if (!task || !file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	id = (u64)sk;
	/* Of several processes with the same socket the oldest, which comes first, is the owner. */
	if (sk && is_tcp_sock(sk) && !find_owner(id))
		set_owner(id, task, ROLE_NOT_KNOWN);
	return 0;
}

/* Before anything else is watched: what happens then may be of a connection to one of these ports. */
SEC("iter/tcp")
int existing_services(struct bpf_iter__tcp *ctx)
{
	const struct sock *sk = (const struct sock *)ctx->sk_common;

	if (sk && BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN)
		remember_served(netns_of(sock_net(sk)), BPF_CORE_READ(sk, __sk_common.skc_num));
	return 0;
}

SEC("iter/tcp")
int existing_sockets(struct bpf_iter__tcp *ctx)
{
	const struct sock *sk = (const struct sock *)ctx->sk_common;
	struct wire_event_socket *e = record_buffer(SCRATCH_ITER_TCP);
	struct endpoint at = {};
	const struct wire_flow *f;
	u32 netns, state;

	if (!sk || !e)
		return 0;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (state == TCP_TIME_WAIT || state == TCP_NEW_SYN_RECV)
		return 0;
	netns = netns_of(sock_net(sk));
	wire_event_socket_init(e);
	fill_sock(&e->body.sock, sk);
	f = &e->body.sock.flow;
	if (state == TCP_LISTEN) {
		__builtin_memcpy(at.addr, f->saddr, 16);
		at.port = f->sport;
		at.netns = netns;
		remember_listener(&at, sk);
		remember_served(netns, f->sport);
	} else {
		claim_peer(peer_key(f->saddr, f->sport, netns, f->daddr, f->dport), (u64)sk);
	}
	/* Listeners are few and every finding may need them; the others stay in the kernel. */
	if (state != TCP_LISTEN)
		return 0;
	fill_event(&e->event, netns, NULL);
	bpf_seq_write(ctx->meta->seq, e, sizeof(*e));
	return 0;
}
