/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A connect() or bind() of TCP that failed before there was any packet. */
#ifndef TCPWHY_CALL_FAILED_H
#define TCPWHY_CALL_FAILED_H

#include "emit.h"
#include "failed_connect.h"
#include "filter.h"
#include "rewriters.h"
#include "service.h"
#include "syscall.h"

/* As it goes on the wire. */
enum failing_call { CALL_CONNECT, CALL_BIND };

#define MOST_ERRNO 127
#define ERRNO_BIT(errno) (1ull << ((errno) & 63))

/* The connect goes on or is there already, was interrupted, or the call itself is a mistake. */
#define NO_FAILURE_LOW (ERRNO_BIT(EINTR) | ERRNO_BIT(EBADF) | ERRNO_BIT(EAGAIN) | ERRNO_BIT(EFAULT))
#define NO_FAILURE_HIGH                                                       \
	(ERRNO_BIT(ENOTSOCK) | ERRNO_BIT(EAFNOSUPPORT) | ERRNO_BIT(EISCONN) | \
	 ERRNO_BIT(EALREADY) | ERRNO_BIT(EINPROGRESS))

static __always_inline bool connect_fails(long ret)
{
	u64 err = -ret;

	if (ret >= 0 || err > MOST_ERRNO)
		return false;
	return !((err < 64 ? NO_FAILURE_LOW : NO_FAILURE_HIGH) & ERRNO_BIT(err));
}

/* The TCP socket of what the process has: of MPTCP its first subflow, NULL where it has none yet. */
static __always_inline const struct sock *speaking(const struct sock *sk)
{
	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_MPTCP)
		return sk;
	return bpf_core_type_exists(struct mptcp_sock)
		       ? BPF_CORE_READ((const struct mptcp_sock *)sk, first)
		       : NULL;
}

/*
 * Whether nothing else tells of this connect: it did not come as far as SYN_SENT, from where sockets that
 * fail are told of as they close. What a connect sets before it is there is not 0 then, and forgotten
 * where a connection of the socket fails later on, but for the sequence number.
 */
static __always_inline bool is_untold(const struct sock *sk, long err)
{
	const struct tcp_sock *tp = (const void *)sk;
	bool tried = BPF_CORE_READ(tp, rx_opt.mss_clamp), sent = BPF_CORE_READ(tp, write_seq);
	struct owner *o;

	if (BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_CLOSE)
		return false;
	if (!sent)
		/* The port that the process chose may be taken: that no port is left is told. */
		return !tried || err != EADDRNOTAVAIL || BPF_CORE_READ(sk, __sk_common.skc_num);
	if (tried)
		return false;
	/* It had a connection before. Whether this call made it is known once only. */
	o = find_owner((u64)sk);
	if (!o || o->closed != OWNER_CLOSED)
		return o != NULL;
	o->closed = OWNER_CLOSE_RETURNED;
	return false;
}

static __always_inline u32 connect_place(const struct sock *sk)
{
	bool is_ipv6 = BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6;

	if (!bpf_core_enum_value_exists(enum cgroup_bpf_attach_type, CGROUP_INET4_CONNECT))
		return is_ipv6 ? BPF_CGROUP_INET6_CONNECT : BPF_CGROUP_INET4_CONNECT;
	return is_ipv6 ? bpf_core_enum_value(enum cgroup_bpf_attach_type, CGROUP_INET6_CONNECT)
		       : bpf_core_enum_value(enum cgroup_bpf_attach_type, CGROUP_INET4_CONNECT);
}

static __always_inline u32 bind_place(const struct sock *sk)
{
	bool is_ipv6 = BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6;

	if (!bpf_core_enum_value_exists(enum cgroup_bpf_attach_type, CGROUP_INET4_BIND))
		return is_ipv6 ? BPF_CGROUP_INET6_BIND : BPF_CGROUP_INET4_BIND;
	return is_ipv6 ? bpf_core_enum_value(enum cgroup_bpf_attach_type, CGROUP_INET6_BIND)
		       : bpf_core_enum_value(enum cgroup_bpf_attach_type, CGROUP_INET4_BIND);
}

#define CAP_NET_BIND_SERVICE_BIT (1 << 10)

/*
 * Whether the process surely lacks CAP_NET_BIND_SERVICE where the socket is: in the namespace of users that
 * owns its network, or it is in one that does not own it.
 */
static __always_inline bool may_not_serve(const struct sock *sk)
{
	const struct task_struct *task = (void *)bpf_get_current_task();
	const struct cred *cred = BPF_CORE_READ(task, cred);
	const struct user_namespace *own = BPF_CORE_READ(cred, user_ns);
	const struct user_namespace *owns = BPF_CORE_READ(sock_net(sk), user_ns);
	u32 capabilities = CAP_NET_BIND_SERVICE_BIT;

	if (own != owns)
		return BPF_CORE_READ(owns, level) <= BPF_CORE_READ(own, level);
	bpf_core_read(&capabilities, sizeof(capabilities), &cred->cap_effective);
	return !(capabilities & CAP_NET_BIND_SERVICE_BIT);
}

#define SECCOMP_MODE_FILTER 2

static __always_inline bool has_seccomp_filter(void)
{
	const struct task_struct *task = (void *)bpf_get_current_task();

	return bpf_core_field_exists(task->seccomp.mode) &&
	       BPF_CORE_READ(task, seccomp.mode) == SECCOMP_MODE_FILTER;
}

static __noinline __attribute__((unused)) int fill_call(struct wire_call_failed *w,
							const struct sock *sk, u32 call)
{
	const struct sock *own = speaking(sk);
	u32 range = client_ports(sock_net(sk));
	const struct cgroup *cgroup;

	w->call = call;
	w->sock.id = (u64)sk;
	w->sock.state = BPF_CORE_READ(sk, __sk_common.skc_state);
	w->sock.previous_state = w->sock.state;
	w->sock.bound_ifindex = BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if);
	w->sock.ipv6_only = BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only);
	fill_current(&w->sock.owner);
	w->mark = BPF_CORE_READ(sk, sk_mark);
	w->uid = BPF_CORE_READ(sk, sk_uid.val);
	w->first_port = range & 0xffff;
	w->last_port = range >> 16;
	w->own_ports = own_ports(sk);
	w->seccomp = has_seccomp_filter();
	w->sock.mptcp = own != sk;
	if (!own)
		own = sk;
	else if (call == CALL_CONNECT)
		w->routed = BPF_CORE_READ((const struct tcp_sock *)own, rx_opt.mss_clamp) != 0;
	if (call == CALL_BIND) {
		w->services_below = BPF_CORE_READ(sock_net(sk), ipv4.sysctl_ip_prot_sock);
		w->may_not_serve = may_not_serve(sk);
		w->reuses = BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_reuse) != 0;
		w->shares = BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_reuseport);
	}
	cgroup = sock_cgroup(own);
	w->cgroup = BPF_CORE_READ(cgroup, kn, id);
	w->programs = programs_of(cgroup, call == CALL_BIND ? bind_place(own) : connect_place(own),
				  &w->program, &w->second_program, &w->third_program);
	return 0;
}

static __always_inline bool is_any(const u8 *addr)
{
	const u64 *words = (const u64 *)addr;

	return !words[0] && !words[1];
}

static __always_inline bool is_ipv4(const u8 *addr)
{
	const u32 *words = (const u32 *)addr;

	return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

/* The ends as the process wants them: what a socket has itself is none of what it did not come to. */
static __noinline __attribute__((unused)) bool
read_ends(struct wire_call_failed *w, const struct sock *sk, const void *user, u32 call)
{
	struct wire_flow *f = &w->sock.flow;
	u8 addr[16] __attribute__((aligned(8)));
	struct sockaddr_any a = {};
	u32 port = 0;

	if (!read_sockaddr(&a, user) || !sockaddr_end(&a, addr, &port))
		return false;
	sock_flow(sk, f);
	if (call == CALL_BIND) {
		__builtin_memcpy(f->saddr, addr, 16);
		f->sport = port;
		f->service = SERVICE_SADDR;
		return true;
	}
	__builtin_memcpy(f->daddr, addr, 16);
	f->dport = port;
	f->service = SERVICE_DADDR;
	if (a.family == AF_INET6)
		__builtin_memcpy(&w->scope, a.rest + SOCKADDR_SCOPE, 4);
	if (is_ipv4(addr) && is_any(f->saddr))
		map_ipv4(f->saddr, 0);
	return true;
}

static __always_inline void call_failed(void *ctx, const struct sock *sk, const void *user,
					long err, u32 call)
{
	struct count_key k = { .kind = EVENT_KIND_CALL_FAILED, .reason = err };
	struct wire_event_call_failed *e = record_buffer(SCRATCH_CALL + call);
	u32 netns = netns_of(sock_net(sk)), pid = bpf_get_current_pid_tgid() >> 32;
	struct wire_flow *f;
	struct total *t;

	if (!e)
		return;
	wire_event_call_failed_init(e);
	f = &e->body.sock.flow;
	if (!read_ends(&e->body, sk, user, call))
		return;
	if (call == CALL_CONNECT)
		remember_failed_connect(pid);
	if (!wanted_flow(netns, f))
		return;
	fill_call(&e->body, sk, call);
	e->body.err = err;
	k.netns = netns;
	__builtin_memcpy(k.addr, call == CALL_CONNECT ? f->daddr : f->saddr, 16);
	k.port = call == CALL_CONNECT ? f->dport : f->sport;
	key_user(&k, f->saddr);
	k.detail ^= (u64)pid << 32 ^ (u64)e->body.mark << 16 ^
		    (u64)e->body.sock.bound_ifindex << 8 ^ (u64)e->body.scope << 4 ^ call;
	t = count(&k);
	if (!t)
		return;
	fill_event(&e->event, netns, t);
	submit(ctx, e, sizeof(*e), t);
}

/* The arguments are still in the registers when the call returns. */
static __always_inline void connect_ended(void *ctx, const struct pt_regs *regs, long ret)
{
	const struct sock *sk, *own;
	struct socket *socket;

	if (!connect_fails(ret))
		return;
	socket = socket_of_fd(PT_REGS_PARM1_CORE_SYSCALL(regs), false);
	sk = socket ? BPF_CORE_READ(socket, sk) : NULL;
	if (!sk || (!is_tcp_sock(sk) && !is_mptcp_sock(sk)))
		return;
	own = speaking(sk);
	if (!own || is_untold(own, -ret))
		call_failed(ctx, sk, (const void *)PT_REGS_PARM2_CORE_SYSCALL(regs), -ret,
			    CALL_CONNECT);
}

static __always_inline void bind_ended(void *ctx, const struct pt_regs *regs, long ret)
{
	const struct sock *sk;
	struct socket *socket;

	if (ret != -EADDRINUSE && ret != -EADDRNOTAVAIL && ret != -EACCES && ret != -EPERM)
		return;
	socket = socket_of_fd(PT_REGS_PARM1_CORE_SYSCALL(regs), false);
	sk = socket ? BPF_CORE_READ(socket, sk) : NULL;
	if (sk && (is_tcp_sock(sk) || is_mptcp_sock(sk)))
		call_failed(ctx, sk, (const void *)PT_REGS_PARM2_CORE_SYSCALL(regs), -ret,
			    CALL_BIND);
}

#endif
