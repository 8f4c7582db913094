// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What accept() and getpeername() told the process, against the socket's own peer: sees every way
 * to rewrite it, a module's getname, a cgroup program or a live patch, without knowing which.
 */
#include "call_failed.h"
#include "shown_peer.h"

enum peer_call { CALL_GETPEERNAME, CALL_ACCEPT, CALL_ACCEPT4 };

/* Whether any socket ever showed another peer than its own: before, no two can show the same one. */
static volatile u32 ever_rewritten;

static __always_inline bool same_addr(const u8 *a, const u8 *b)
{
	for (int i = 0; i < 16; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

static __always_inline bool read_shown(const void *user, u8 *addr, u32 *port)
{
	struct sockaddr_any a;

	return read_sockaddr(&a, user) && sockaddr_end(&a, addr, port);
}

static __always_inline bool same_peer(const struct wire_flow *f, const u8 *addr, u32 port)
{
	return f->dport == port && same_addr(addr, f->daddr);
}

/* The same before there is a flow: nearly all that processes are shown ends here. `addr` is aligned. */
static __always_inline bool is_own_peer(const struct sock *sk, const u8 *addr, u32 port)
{
	const u64 *shown = (const u64 *)addr;
	u64 own[2];

	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6)
		bpf_core_read(&own, sizeof(own), &sk->__sk_common.skc_v6_daddr);
	else
		map_ipv4((u8 *)own, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	return shown[0] == own[0] && shown[1] == own[1] &&
	       bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport)) == port;
}

/*
 * Another live socket that shows this peer on the same local end. Its end may have been missed, where
 * an interrupt brought it in the midst of another's: then its memory is of any socket, or of none.
 */
static __always_inline const struct sock *other_with(u64 key, u64 sk, u32 local_port,
						     const u8 *addr, u32 port, bool rewritten)
{
	const struct sock *other = (const void *)shown_by_another(key, sk);
	struct wire_flow f;
	struct owner *o;
	u8 state;

	if (!other)
		return NULL;
	state = BPF_CORE_READ(other, __sk_common.skc_state);
	if (state == TCP_CLOSE || state == TCP_LISTEN)
		return NULL;
	sock_flow(other, &f);
	if (f.sport != local_port)
		return NULL;
	/* Of two sockets with the same true peer one is gone. */
	if (same_peer(&f, addr, port))
		return rewritten ? other : NULL;
	o = find_owner((u64)other);
	return o && o->shown_port == port && same_addr(o->shown_addr, addr) ? other : NULL;
}

static __always_inline void named(void *ctx, struct socket *socket, const void *user, u32 call)
{
	const struct sock *sk = BPF_CORE_READ(socket, sk), *other;
	struct count_key count_as = { .kind = EVENT_KIND_PEER_NAME };
	struct wire_event_peer_name *e = record_buffer(SCRATCH_PEER_NAME);
	struct total *t;
	struct owner *o;
	u64 id = (u64)sk, key;
	u32 netns, port = 0;
	u8 addr[16] __attribute__((aligned(8))) = {};
	bool rewritten;

	if (!e || !sk)
		return;
	if (!is_tcp_sock(sk)) {
		if (call != CALL_GETPEERNAME && is_mptcp_sock(sk))
			set_owner_to_current(id, ROLE_ACCEPTED);
		return;
	}
	if (call != CALL_GETPEERNAME)
		set_owner_to_current(id, ROLE_ACCEPTED);
	o = find_owner(id);
	/* A connection may end before accept() comes to it. */
	if (o && BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE)
		o->closed = OWNER_CLOSED;
	if (!o || !read_shown(user, addr, &port))
		return;
	if (!ever_rewritten && is_own_peer(sk, addr, port))
		return;
	wire_event_peer_name_init(e);
	fill_sock(&e->body.sock, sk);
	netns = netns_of(sock_net(sk));
	/* Reset before accept() came to it: there is no peer to compare. */
	if (!e->body.sock.flow.dport || !wanted_flow(netns, &e->body.sock.flow))
		return;
	rewritten = !same_peer(&e->body.sock.flow, addr, port);
	if (rewritten)
		ever_rewritten = 1;
	key = peer_key(e->body.sock.flow.saddr, e->body.sock.flow.sport, netns, addr, port);
	other = other_with(key, id, e->body.sock.flow.sport, addr, port, rewritten);
	if (!rewritten && !other)
		return;
	/* Once a socket and address, however often the process asks. */
	if (o->shown_port == port && same_addr(addr, o->shown_addr))
		return;
	__builtin_memcpy(o->shown_addr, addr, 16);
	o->shown_port = port;
	claim_peer(key, id);
	__builtin_memcpy(count_as.addr, e->body.sock.flow.saddr, 16);
	count_as.port = e->body.sock.flow.sport;
	count_as.netns = netns;
	count_as.detail = other != NULL;
	t = count(&count_as);
	if (!t)
		return;
	fill_event(&e->event, netns, t);
	__builtin_memcpy(e->body.shown_addr, addr, 16);
	e->body.shown_port = port;
	e->body.call = call;
	e->body.sock.flow.service = service_of_sock(sk, &e->body.sock.flow);
	e->body.getname = (u64)BPF_CORE_READ(socket, ops, getname);
	if (rewritten)
		fill_rewriters(&e->body, sk);
	if (other) {
		fill_sock(&e->body.other, other);
		e->body.other.flow.service = service_of_sock(other, &e->body.other.flow);
	}
	submit(ctx, e, sizeof(*e), t);
}

/* The arguments are still in the registers when the call returns. */
static __always_inline int returns(void *ctx, const struct pt_regs *regs, long ret, u32 call)
{
	u32 fd = call == CALL_GETPEERNAME ? PT_REGS_PARM1_CORE_SYSCALL(regs) : (u32)ret;
	struct socket *socket;

	if (ret < 0)
		return 0;
	socket = socket_of_fd(fd, call != CALL_GETPEERNAME);
	if (socket)
		named(ctx, socket, (const void *)PT_REGS_PARM2_CORE_SYSCALL(regs), call);
	return 0;
}

#ifndef PROBES
/* Whose the socket is is known by then: socket_accepted.bpf.c. */
static __always_inline int shown_by_accept(void *ctx, const struct pt_regs *regs, long ret,
					   u32 call)
{
	return SYSCALL_PARM2(regs) ? returns(ctx, regs, ret, call) : 0;
}

SEC("fexit/" SYSCALL(getpeername))
int BPF_PROG(getpeername_returns, const struct pt_regs *regs, long ret)
{
	return returns(ctx, regs, ret, CALL_GETPEERNAME);
}

SEC("fexit/" SYSCALL(accept))
int BPF_PROG(accept_returns, const struct pt_regs *regs, long ret)
{
	return shown_by_accept(ctx, regs, ret, CALL_ACCEPT);
}

SEC("fexit/" SYSCALL(accept4))
int BPF_PROG(accept4_returns, const struct pt_regs *regs, long ret)
{
	return shown_by_accept(ctx, regs, ret, CALL_ACCEPT4);
}

/*
 * The events of these calls alone: another call costs a bit that is looked at. (A program of this kind
 * is not run where its CPU runs another one of it: that is counted as missed.)
 */
static __always_inline int ends(struct syscall_trace_exit *event, u32 call)
{
	const struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());

	return returns(event, regs, event->ret, call);
}

SEC("tp/syscalls/sys_exit_getpeername")
int getpeername_ends(struct syscall_trace_exit *event)
{
	return ends(event, CALL_GETPEERNAME);
}

SEC("tp/syscalls/sys_exit_accept")
int accept_ends(struct syscall_trace_exit *event)
{
	return ends(event, CALL_ACCEPT);
}

SEC("tp/syscalls/sys_exit_accept4")
int accept4_ends(struct syscall_trace_exit *event)
{
	return ends(event, CALL_ACCEPT4);
}
#endif

/* Runs at the end of every system call of the host: only where nothing better can be had. */
ON_TRACEPOINT(sys_exit, syscall_returns, struct pt_regs *regs, long ret)
{
	u32 nr = SYSCALL_NUMBER(regs);

	if (nr == nr_getpeername)
		return returns(ctx, regs, ret, CALL_GETPEERNAME);
	if (nr == nr_accept)
		return returns(ctx, regs, ret, CALL_ACCEPT);
	if (nr == nr_accept4)
		return returns(ctx, regs, ret, CALL_ACCEPT4);
	if (nr == nr_connect)
		connect_ended(ctx, regs, ret);
	if (nr == nr_bind)
		bind_ended(ctx, regs, ret);
	return 0;
}
