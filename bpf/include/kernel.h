/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel types and members that the programs read, no more. Offsets come from the running
 * kernel's BTF when the object is loaded, so order and neighbours here mean nothing.
 */
#ifndef TCPWHY_KERNEL_H
#define TCPWHY_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef _Bool bool;

#define true 1
#define false 0
#define NULL ((void *)0)

/* Part of the kernel's interface to user space (uapi/linux/bpf.h): these numbers never change. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
};

/*
 * Since open-coded iterators (6.4) the verifier forgets what no
 * longer matters to it; older ones go through the same code again for each way that leads there.
 */
struct bpf_iter_num {
};
#define PRUNES_WELL bpf_core_type_exists(struct bpf_iter_num)

/* Which helpers this kernel has: asked for by bpf_core_enum_value_exists(). */
enum bpf_func_id {
	BPF_FUNC_get_current_task_btf = 158,
};

/* The place of a cgroup's programs; since 5.15 the kernel has other numbers for that. */
enum bpf_attach_type {
	BPF_CGROUP_INET4_BIND = 8,
	BPF_CGROUP_INET6_BIND = 9,
	BPF_CGROUP_INET4_CONNECT = 10,
	BPF_CGROUP_INET6_CONNECT = 11,
	BPF_CGROUP_INET4_GETPEERNAME = 29,
	BPF_CGROUP_INET6_GETPEERNAME = 30,
};

enum cgroup_bpf_attach_type {
	CGROUP_INET4_BIND,
	CGROUP_INET6_BIND,
	CGROUP_INET4_CONNECT,
	CGROUP_INET6_CONNECT,
	CGROUP_INET4_GETPEERNAME,
	CGROUP_INET6_GETPEERNAME,
};

enum { BPF_ANY = 0, BPF_NOEXIST = 1 };

#define BPF_F_CURRENT_CPU 0xffffffffULL

/* libbpf's BPF_CORE_READ declares an uninitialised const where the pointer is to const. */
#pragma clang diagnostic ignored "-Wdefault-const-init-var-unsafe"

/* bpf_tracing.h then names registers as the kernel's own headers do. */
#define __VMLINUX_H__

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_MPTCP 262
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define EPERM 1
#define EINTR 4
#define EBADF 9
#define EAGAIN 11
#define EACCES 13
#define EFAULT 14
#define EPIPE 32
#define ENOTSOCK 88
#define EAFNOSUPPORT 97
#define EADDRINUSE 98
#define EADDRNOTAVAIL 99
#define ECONNRESET 104
#define EISCONN 106
#define ECONNREFUSED 111
#define EALREADY 114
#define EINPROGRESS 115
#define PF_EXITING 0x4
#define ENOENT 2
#define EOPNOTSUPP 95
#define S_IFMT 0170000
#define S_IFSOCK 0140000

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* Only asked for: its numbers differ from kernel to kernel. */
enum skb_drop_reason {
	SKB_DROP_REASON_NOT_SPECIFIED,
	SKB_DROP_REASON_NETFILTER_DROP,
	SKB_DROP_REASON_IP_LOCAL_SOURCE,
	SKB_DROP_REASON_PROTO_MEM,
	SKB_DROP_REASON_TCP_OFO_QUEUE_PRUNE,
	SKB_DROP_REASON_SOCKET_FILTER,
	SKB_DROP_REASON_BPF_CGROUP_EGRESS,
};

enum tcp_state {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
	TCP_CLOSING = 11,
	TCP_NEW_SYN_RECV = 12,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct linux_mib {
	unsigned long mibs[0];
};

struct tcp_mib {
	unsigned long mibs[0];
};

struct ipstats_mib {
	u64 mibs[0];
};

struct netns_mib {
	struct ipstats_mib *ip_statistics;
	struct ipstats_mib *ipv6_statistics;
	struct tcp_mib *tcp_statistics;
	struct linux_mib *net_statistics;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct inet_bind_hashbucket {
	struct hlist_head chain;
};

struct hlist_nulls_node {
	struct hlist_nulls_node *next;
};

struct hlist_nulls_head {
	struct hlist_nulls_node *first;
};

/* `head` until Linux 5.18, where sockets hang on it by `icsk_listen_portaddr_node`. */
struct inet_listen_hashbucket {
	struct hlist_head head;
	struct hlist_nulls_head nulls_head;
};

struct inet_hashinfo {
	struct inet_bind_hashbucket *bhash;
	unsigned int bhash_size;
	unsigned int lhash2_mask;
	struct inet_listen_hashbucket *lhash2;
};

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	atomic_t refs;
} refcount_t;

/* `tw_count` until Linux 5.16. */
struct inet_timewait_death_row {
	struct inet_hashinfo *hashinfo;
	refcount_t tw_refcount;
	atomic_t tw_count;
	int sysctl_max_tw_buckets;
};

/* Both ports of the range in one number; a pair until Linux 6.7. */
struct local_ports {
	u32 range;
};

struct local_ports___pair {
	int range[2];
};

/* `int` until Linux 5.15, `u8` from then on. */
struct netns_ipv4 {
	struct inet_timewait_death_row tcp_death_row;
	struct local_ports ip_local_ports;
	u32 sysctl_tcp_syncookies;
	u32 sysctl_tcp_abort_on_overflow;
	u32 sysctl_tcp_synack_retries;
	int sysctl_tcp_fin_timeout;
	int sysctl_max_syn_backlog;
	int sysctl_ip_prot_sock;
};

struct netns_ipv4___pair {
	struct local_ports___pair ip_local_ports;
};

typedef struct {
	__s64 counter;
} atomic64_t;

typedef atomic64_t atomic_long_t;

struct proto {
	atomic_long_t *memory_allocated;
	long *sysctl_mem;
	union {
		struct inet_hashinfo *hashinfo;
	} h;
};

struct ip_conntrack_stat {
	unsigned int invalid;
	unsigned int insert_failed;
	unsigned int drop;
};

/* Jiffies, by enum tcp_conntrack. */
struct nf_tcp_net {
	unsigned int timeouts[4];
};

struct nf_ip_net {
	struct nf_tcp_net tcp;
};

struct netns_ct {
	struct ip_conntrack_stat *stat;
	struct nf_ip_net nf_ct_proto;
};

struct net_generic {
	void *ptr[1];
};

struct ctl_table {
	void *data;
};

struct ctl_table_header {
	struct ctl_table *ctl_table;
};

/* Of a namespace; has its number of entries since Linux 5.13. */
struct nf_conntrack_net {
	atomic_t count;
	unsigned int users4;
	unsigned int users6;
	struct ctl_table_header *sysctl_header;
};

union nf_inet_addr {
	__be32 all[4];
};

struct nf_conntrack_tuple {
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
		u16 l3num;
	} src;
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
	} dst;
};

struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
};

struct nf_conntrack_zone {
	u16 id;
};

struct ip_ct_tcp {
	u8 state;
};

union nf_conntrack_proto {
	struct ip_ct_tcp tcp;
};

/* The connection that a packet is of, as nf_conntrack has it. */
struct nf_conn {
	u32 timeout;
	struct nf_conntrack_zone zone;
	struct nf_conntrack_tuple_hash tuplehash[2];
	unsigned long status;
	union nf_conntrack_proto proto;
};

struct net_device;

struct list_head {
	struct list_head *next;
};

struct net {
	struct list_head dev_base_head;
	struct net_device *loopback_dev;
	u32 hash_mix;
	struct netns_ipv4 ipv4;
	struct ns_common ns;
	struct netns_mib mib;
	struct netns_ct ct;
	struct net_generic *gen;
	struct user_namespace *user_ns;
};

struct net___pair {
	struct netns_ipv4___pair ipv4;
};

typedef struct {
	struct net *net;
} possible_net_t;

/* `owners` until Linux 6.7, `bhash2` from 6.8. */
struct inet_bind_bucket {
	possible_net_t ib_net;
	unsigned short port;
	signed char fastreuse;
	struct hlist_node node;
	struct hlist_head owners;
	struct hlist_head bhash2;
};

struct inet_bind2_bucket {
	struct hlist_node bhash_node;
	struct hlist_head owners;
};

struct in6_addr {
	union {
		u8 u6_addr8[16];
		__be32 u6_addr32[4];
	} in6_u;
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_reuse : 4;
	unsigned char skc_reuseport : 1;
	unsigned char skc_ipv6only : 1;
	int skc_bound_dev_if;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	struct proto *skc_prot;
	unsigned long skc_flags;
	struct sock *skc_listener;
	struct hlist_node skc_bind_node;
	struct hlist_nulls_node skc_nulls_node;
	int skc_incoming_cpu;
};

struct socket;
struct sk_buff;

struct sk_buff_head {
	struct sk_buff *next;
	struct sk_buff *prev;
};

/* The sockets that share an end by SO_REUSEPORT. */
struct sock_reuseport {
	u16 num_socks;
	struct sock *socks[0];
};

struct bpf_prog;

struct sk_filter {
	struct bpf_prog *prog;
};

struct cgroup;

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

/* Before 5.15: a pointer with flags in its lowest two bits, the first of which says that it is none. */
struct sock_cgroup_data___flags {
	u64 val;
};

struct timer_list {
	void (*function)(struct timer_list *);
};

typedef struct {
	u32 val;
} kuid_t;

struct sock {
	struct sock_common __sk_common;
	u8 sk_userlocks : 4;
	u32 sk_mark;
	kuid_t sk_uid;
	/* From Linux 7.0. */
	struct timer_list tcp_retransmit_timer;
	struct sock_cgroup_data sk_cgrp_data;
	struct sk_filter *sk_filter;
	atomic_t sk_drops;
	struct {
		atomic_t rmem_alloc;
	} sk_backlog;
	int sk_rcvbuf;
	struct sk_buff_head sk_receive_queue;
	struct dst_entry *sk_dst_cache;
	struct sock_reuseport *sk_reuseport_cb;
	int sk_err;
	u16 sk_type;
	u16 sk_protocol;
	unsigned long sk_lingertime;
	u32 sk_ack_backlog;
	u32 sk_max_ack_backlog;
	int sk_wmem_queued;
	struct socket *sk_socket;
};

struct request_sock {
	struct sock_common __req_common;
	u8 num_retrans;
	u8 num_timeout : 7;
	struct timer_list rsk_timer;
};

struct inet_request_sock {
	u16 acked : 1;
};

struct tcp_request_sock {
	u64 snt_synack;
	u32 rcv_isn;
	u32 snt_isn;
};

struct ipv6_pinfo {
	__s16 hop_limit : 9;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
	__s16 uc_ttl;
	struct ipv6_pinfo *pinet6;
	u32 local_port_range;
};

/* Until Linux 6.7, in the same place. */
struct inet_sock___pair {
	struct {
		u16 lo;
		u16 hi;
	} local_port_range;
};

struct fastopen_queue {
	int qlen;
	int max_qlen;
};

struct request_sock_queue {
	u32 rskq_defer_accept;
	atomic_t qlen;
	atomic_t young;
	struct fastopen_queue fastopenq;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
	struct inet_bind_bucket *icsk_bind_hash;
	struct hlist_node icsk_listen_portaddr_node;
	void *icsk_ulp_data;
	struct timer_list icsk_retransmit_timer;
	u32 icsk_pmtu_cookie;
	u8 icsk_pending;
	u8 icsk_syn_retries;
	u8 icsk_retransmits;
	u8 icsk_probes_out;
	u32 icsk_probes_tstamp;
	u32 icsk_user_timeout;
	struct {
		u32 lrcvtime;
	} icsk_ack;
};

struct tcp_options_received {
	int ts_recent_stamp;
	u32 ts_recent;
	u16 mss_clamp;
	u8 num_sacks;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	struct tcp_options_received rx_opt;
	u64 bytes_received;
	u32 rcv_tstamp;
	u32 rcv_wnd;
	u32 rcv_wup;
	u32 copied_seq;
	u32 rcv_nxt;
	u32 snd_nxt;
	u32 snd_una;
	u32 snd_wnd;
	u32 mss_cache;
	u32 sacked_out;
	u64 bytes_sent;
	u32 lsndtime;
	u64 bytes_acked;
	u32 write_seq;
	u32 retrans_stamp;
	u32 total_retrans;
	int linger2;
	bool is_mptcp;
	u8 syn_data : 1;
};

/* Of a subflow: the socket that its process has. */
struct mptcp_subflow_context {
	struct sock *conn;
};

/* `receive_queue`, which comes before the socket's own, until Linux 6.13. */
struct mptcp_sock {
	struct sk_buff_head receive_queue;
	struct sock *first;
};

struct mptcp_skb_cb {
	u64 map_seq;
	u64 end_seq;
};

struct inet_timewait_sock {
	struct sock_common __tw_common;
};

struct tcp_timewait_sock {
	u32 tw_ts_recent;
	int tw_ts_recent_stamp;
};

struct tcphdr {
	u16 rst : 1;
	u16 syn : 1;
};

struct proto_ops {
	int (*getname)(struct socket *, void *, int);
};

struct socket {
	short type;
	struct sock *sk;
	const struct proto_ops *ops;
};

struct in_ifaddr {
	struct in_ifaddr *ifa_next;
	__be32 ifa_local;
};

struct in_device {
	struct in_ifaddr *ifa_list;
};

struct inet6_ifaddr {
	struct in6_addr addr;
	struct list_head if_list;
};

struct inet6_dev {
	struct list_head addr_list;
};

struct net_device {
	char name[16];
	int ifindex;
	unsigned int mtu;
	unsigned short type;
	const unsigned char *dev_addr;
	struct in_device *ip_ptr;
	struct inet6_dev *ip6_ptr;
	struct list_head dev_list;
	possible_net_t nd_net;
};

struct dst_entry {
	struct net_device *dev;
	short error;
};

struct neigh_table {
	int family;
};

struct neighbour {
	struct neigh_table *tbl;
	struct net_device *dev;
	u8 nud_state;
	unsigned char ha[0];
	atomic_t probes;
	u8 primary_key[0];
};

struct rtable {
	u8 rt_gw_family;
	union {
		__be32 rt_gw4;
		struct in6_addr rt_gw6;
	};
};

struct rt6_info {
	struct in6_addr rt6i_gateway;
};

struct sk_buff {
	unsigned long _nfct;
	struct sk_buff *next;
	struct net_device *dev;
	struct sock *sk;
	unsigned long _skb_refdst;
	unsigned int len;
	int skb_iif;
	__be16 protocol;
	u16 network_header;
	u16 mac_header;
	u8 pkt_type : 3;
	u8 csum_valid : 1;
	u8 csum_complete_sw : 1;
	char cb[48];
	unsigned char *head;
};

struct kernfs_node {
	u64 id;
};

struct bpf_prog_aux {
	u32 id;
	char name[16];
};

struct bpf_prog {
	struct bpf_prog_aux *aux;
};

struct bpf_prog_array_item {
	struct bpf_prog *prog;
};

struct bpf_prog_array {
	struct bpf_prog_array_item items[0];
};

struct cgroup_bpf {
	struct bpf_prog_array *effective[0];
};

struct cgroup_root;

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
	struct cgroup_bpf bpf;
};

struct cgroup_root {
	struct cgroup cgrp;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct inode {
	unsigned short i_mode;
};

struct file {
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
	unsigned long *close_on_exec;
};

struct files_struct {
	struct fdtable *fdt;
};

struct signal_struct {
	atomic_t live;
};

/* Empty where the kernel is built without it. */
struct seccomp {
	int mode;
};

struct user_namespace {
	int level;
};

/* Two numbers of 32 bits until Linux 6.3. */
typedef struct {
	u64 val;
} kernel_cap_t;

struct cred {
	kernel_cap_t cap_effective;
	struct user_namespace *user_ns;
};

struct task_struct {
	const struct cred *cred;
	struct seccomp seccomp;
	struct signal_struct *signal;
	unsigned int flags;
	int exit_code;
	u64 start_time;
	int tgid;
	struct task_struct *group_leader;
	char comm[16];
	struct css_set *cgroups;
	struct files_struct *files;
};

#if defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	u64 regs[31];
	u64 sp;
	u64 pc;
};

struct pt_regs {
	struct user_pt_regs user_regs;
	u64 orig_x0;
	int syscallno;
};

#define SYSCALL(name) "__arm64_sys_" #name
#define SYSCALL_NUMBER(regs) BPF_CORE_READ(regs, syscallno)
#define SYSCALL_PARM2(regs) ((regs)->user_regs.regs[1])
#else
struct pt_regs {
	unsigned long di;
	unsigned long si;
	unsigned long dx;
	unsigned long cx;
	unsigned long r8;
	unsigned long r10;
	unsigned long orig_ax;
	unsigned long ax;
	unsigned long ip;
	unsigned long sp;
	unsigned long bp;
};

#define SYSCALL(name) "__x64_sys_" #name
#define SYSCALL_NUMBER(regs) BPF_CORE_READ(regs, orig_ax)
#define SYSCALL_PARM2(regs) ((regs)->si)
#endif

/* Of the events syscalls:sys_exit_*. */
struct syscall_trace_exit {
	long ret;
};

struct bpf_array {
	void *pptrs[0];
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

#pragma clang attribute pop

#endif
