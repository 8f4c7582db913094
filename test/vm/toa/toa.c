// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does what TOA modules do. A balancer puts a client's port and address into a TCP option; that of
 * the segment that creates a connection is what accept() and getpeername() then tell about it.
 */
#include <linux/hashtable.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <net/tcp.h>
#include <net/ipv6.h>
#include <net/inet_common.h>

struct toa {
	u8 kind;
	u8 length;
	__be16 port;
	__be32 address;
} __packed;

static bool is_toa(u8 kind, u8 length)
{
	return (kind == 254 || kind == 253 || kind == 200) && length == sizeof(struct toa);
}

static bool find_toa(const struct sk_buff *skb, struct toa *toa)
{
	const u8 *option = (const u8 *)(tcp_hdr(skb) + 1);
	const u8 *end = (const u8 *)tcp_hdr(skb) + tcp_hdrlen(skb);

	while (end - option >= 2 && option[0] != TCPOPT_EOL) {
		if (option[0] == TCPOPT_NOP) {
			option++;
			continue;
		}
		if (option[1] < 2 || option[1] > end - option)
			return false;
		if (is_toa(option[0], option[1])) {
			memcpy(toa, option, sizeof(*toa));
			return true;
		}
		option += option[1];
	}
	return false;
}

/* What is known, by connection. */

struct known {
	struct hlist_node node;
	const struct sock *sk;
	struct toa toa;
};

static DEFINE_HASHTABLE(known_toas, 10);
static DEFINE_RAW_SPINLOCK(lock);

static struct known *find(const struct sock *sk)
{
	struct known *known;

	hash_for_each_possible (known_toas, known, node, (unsigned long)sk)
		if (known->sk == sk)
			return known;
	return NULL;
}

static void remember(const struct sock *sk, const struct toa *toa)
{
	struct known *known = kmalloc(sizeof(*known), GFP_ATOMIC);
	unsigned long flags;

	if (!known)
		return;
	known->sk = sk;
	known->toa = *toa;
	raw_spin_lock_irqsave(&lock, flags);
	hash_add(known_toas, &known->node, (unsigned long)sk);
	raw_spin_unlock_irqrestore(&lock, flags);
}

static bool recall(const struct sock *sk, struct toa *toa)
{
	const struct known *known;
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	known = find(sk);
	if (known)
		*toa = known->toa;
	raw_spin_unlock_irqrestore(&lock, flags);
	return known;
}

static void forget(const struct sock *sk)
{
	struct known *known;
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	known = find(sk);
	if (known)
		hash_del(&known->node);
	raw_spin_unlock_irqrestore(&lock, flags);
	kfree(known);
}

static void forget_all(void)
{
	struct hlist_node *next;
	struct known *known;
	int bucket;

	hash_for_each_safe (known_toas, bucket, next, known, node) {
		hash_del(&known->node);
		kfree(known);
	}
}

/* Connections are created, also those over IPv6 sockets from IPv4, and destroyed. */

static int create_enters(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	*(struct sk_buff **)instance->data = (void *)regs_get_kernel_argument(regs, 1);
	return 0;
}

static int create_leaves(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct sk_buff *skb = *(struct sk_buff **)instance->data;
	const struct sock *child = (void *)regs_return_value(regs);
	struct toa toa;

	if (child && find_toa(skb, &toa))
		remember(child, &toa);
	return 0;
}

static struct kretprobe create = {
	.kp.symbol_name = "tcp_v4_syn_recv_sock",
	.entry_handler = create_enters,
	.handler = create_leaves,
	.data_size = sizeof(struct sk_buff *),
	.maxactive = 64,
};

static int destroy_enters(struct kprobe *probe, struct pt_regs *regs)
{
	forget((void *)regs_get_kernel_argument(regs, 0));
	return 0;
}

static struct kprobe destroy = {
	.symbol_name = "tcp_v4_destroy_sock",
	.pre_handler = destroy_enters,
};

/* Names are asked for. */

static atomic_t callers = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(no_callers);

static void leave(void)
{
	if (atomic_dec_and_test(&callers))
		wake_up(&no_callers);
}

static int inet_getname_toa(struct socket *sock, struct sockaddr *name, int peer)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)name;
	struct toa toa;
	int length;

	atomic_inc(&callers);
	length = inet_getname(sock, name, peer);
	if (length > 0 && peer && recall(sock->sk, &toa)) {
		sin->sin_port = toa.port;
		sin->sin_addr.s_addr = toa.address;
	}
	leave();
	return length;
}

static int inet6_getname_toa(struct socket *sock, struct sockaddr *name, int peer)
{
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)name;
	struct toa toa;
	int length;

	atomic_inc(&callers);
	length = inet6_getname(sock, name, peer);
	if (length > 0 && peer && recall(sock->sk, &toa)) {
		sin6->sin6_port = toa.port;
		ipv6_addr_set_v4mapped(toa.address, &sin6->sin6_addr);
	}
	leave();
	return length;
}

typedef int (*getname_t)(struct socket *sock, struct sockaddr *name, int peer);

/* The operations are read-only where they are mapped, so they are written where mapped again. */
static int set_getname(const struct proto_ops *ops, getname_t getname)
{
	unsigned long slot = (unsigned long)&ops->getname;
	struct page *page = virt_to_page(__va(__pa_symbol(slot & PAGE_MASK)));
	void *mapped = vmap(&page, 1, VM_MAP, PAGE_KERNEL);

	if (!mapped)
		return -ENOMEM;
	WRITE_ONCE(*(getname_t *)(mapped + offset_in_page(slot)), getname);
	vunmap(mapped);
	return 0;
}

/* Not exported, but every socket has them. */
static const struct proto_ops *tcp6_ops;

static int find_tcp6_ops(void)
{
	struct socket *sock;
	int error = sock_create_kern(&init_net, PF_INET6, SOCK_STREAM, IPPROTO_TCP, &sock);

	if (error)
		return error;
	tcp6_ops = sock->ops;
	sock_release(sock);
	return 0;
}

/*
 * A caller is inside for as long as it is counted; before and after that it does not sleep, which is
 * what tasks' RCU waits for.
 */
static void restore(void)
{
	WARN_ON(set_getname(&inet_stream_ops, inet_getname));
	WARN_ON(set_getname(tcp6_ops, inet6_getname));
	synchronize_rcu_tasks();
	wait_event(no_callers, !atomic_read(&callers));
	synchronize_rcu_tasks();
}

static int __init toa_init(void)
{
	int error = find_tcp6_ops();

	if (error)
		return error;
	error = register_kretprobe(&create);
	if (error)
		return error;
	error = register_kprobe(&destroy);
	if (error)
		goto no_destroy;
	error = set_getname(&inet_stream_ops, inet_getname_toa);
	if (!error)
		error = set_getname(tcp6_ops, inet6_getname_toa);
	if (!error)
		return 0;
	restore();
	unregister_kprobe(&destroy);
no_destroy:
	unregister_kretprobe(&create);
	forget_all();
	return error;
}

static void __exit toa_exit(void)
{
	restore();
	unregister_kretprobe(&create);
	unregister_kprobe(&destroy);
	forget_all();
}

module_init(toa_init);
module_exit(toa_exit);
MODULE_DESCRIPTION("Shows clients behind a balancer as peers, for tests of tcpwhy only");
MODULE_LICENSE("GPL v2");
