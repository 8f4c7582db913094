// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What was there before tcpwhy: owners first (task_file), then the sockets themselves (tcp). */
#include "emit.h"
#include "filter.h"
#include "hashinfo.h"
#include "service.h"
#include "shown_peer.h"
#include "timers.h"

/* The listening TCP socket that this one is or, of MPTCP, has; NULL: none. */
static __always_inline const struct sock *listener_in(const struct sock *sk)
{
	const struct mptcp_sock *msk = (const void *)sk;

	if (BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_LISTEN)
		return NULL;
	if (is_tcp_sock(sk))
		return sk;
	return bpf_core_type_exists(struct mptcp_sock) ? BPF_CORE_READ(msk, first) : NULL;
}

/* PF_FORKNOEXEC: it runs what its parent ran. */
#define FORKED_ONLY 0x40
#define FRESH_NS 1000000000ull

/*
 * A child that is about to run another program has for a moment all that its parent has open. What is closed
 * then, it never held.
 */
static __always_inline bool is_about_to_lose(const struct task_struct *task, u32 fd)
{
	const unsigned long *closes = BPF_CORE_READ(task, files, fdt, close_on_exec);
	u64 bits = 0;

	if (!(BPF_CORE_READ(task, flags) & FORKED_ONLY) ||
	    bpf_ktime_get_ns() - BPF_CORE_READ(task, start_time) > FRESH_NS)
		return false;
	bpf_probe_read_kernel(&bits, sizeof(bits), closes + fd / 64);
	return bits >> (fd % 64) & 1;
}

static __always_inline void write_holder(struct seq_file *seq, const struct task_struct *task,
					 const struct sock *listener)
{
	struct holder h = { .pid = BPF_CORE_READ(task, tgid) };

	store_pointer(&h.listener, listener);
	BPF_CORE_READ_INTO(&h.comm, task, group_leader, comm);
	bpf_seq_write(seq, &h, sizeof(h));
}

SEC("iter/task_file")
int existing_owners(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	const struct sock *listener;
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
	if (!sk || !(is_tcp_sock(sk) || is_mptcp_sock(sk)))
		return 0;
	if (!find_owner(id))
		set_owner(id, task, ROLE_NOT_KNOWN);
	listener = listener_in(sk);
	if (listener && !is_about_to_lose(task, ctx->fd))
		write_holder(ctx->meta->seq, task, listener);
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

/* Nobody listens there, and it is a port that connects are given: it has dialled. */
static __always_inline bool was_given(const struct net *net, u32 netns, u32 port)
{
	return !was_served(netns, port) && is_within(client_ports(net), port);
}

SEC("iter/tcp")
int existing_sockets(struct bpf_iter__tcp *ctx)
{
	const struct sock *sk = (const struct sock *)ctx->sk_common;
	struct wire_event_socket *e = record_buffer(SCRATCH_ITER_TCP);
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
	remember_hashinfo(sk);
	remember_write_timer(sk);
	if (state == TCP_LISTEN) {
		remember_listener(sk, f->sport);
		remember_served(netns, f->sport);
	} else {
		claim_peer(peer_key(f->saddr, f->sport, netns, f->daddr, f->dport), (u64)sk);
		if (was_given(sock_net(sk), netns, f->sport))
			remember_dialled(netns, f->dport);
	}
	/* Listeners are few and every finding may need them; the others stay in the kernel. */
	if (state != TCP_LISTEN)
		return 0;
	fill_event(&e->event, netns, NULL);
	bpf_seq_write(ctx->meta->seq, e, sizeof(*e));
	return 0;
}
