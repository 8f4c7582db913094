// SPDX-License-Identifier: Apache-2.0
// One object with a program of each fate: runs, has no hook, is refused by the verifier, is skipped.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define ENOENT 2
#define KERNEL __attribute__((preserve_access_index))

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
};

static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static u64 (*current_pid_tgid)(void) = (void *)14;
static long (*output)(void *ctx, void *map, u64 flags, void *data, u64 size) = (void *)25;
static long (*seq_write)(void *seq, const void *data, u32 length) = (void *)127;

const volatile u32 pid = 0;
const volatile u64 syscall = 0;
const volatile u32 records_per_call = 1;
const volatile u8 length_byte = 0x8c;

struct {
	int (*type)[BPF_MAP_TYPE_PERF_EVENT_ARRAY];
	int (*key_size)[4];
	int (*value_size)[4];
} events SEC(".maps");

struct {
	int (*type)[BPF_MAP_TYPE_ARRAY];
	int (*max_entries)[1];
	u32 *key;
	u64 *value;
} written SEC(".maps");

/* Enum unwritten of bpf/include/maps.h. */
struct {
	int (*type)[BPF_MAP_TYPE_PERCPU_ARRAY];
	int (*max_entries)[2];
	u32 *key;
	u64 *value;
} unwritten SEC(".maps");

struct call_count {
	u32 calls;
	u8 tail;
} __attribute__((packed));

struct {
	int (*type)[BPF_MAP_TYPE_PERCPU_HASH];
	int (*max_entries)[16];
	u64 *key;
	struct call_count *value;
} calls SEC(".maps");

struct {
	int (*type)[BPF_MAP_TYPE_HASH];
	int (*max_entries)[5000];
	u64 *key;
	u32 *value;
} table SEC(".maps");

/* 4 bytes of length and 12 of record: perf pads the sample to 20. */
struct record {
	u8 length[4];
	u32 pid;
	u64 serial;
} __attribute__((packed, aligned(4)));

SEC("tp_btf/sys_enter") int on_call(u64 *ctx)
{
	u32 zero = 0;
	u64 *serial = lookup(&written, &zero);

	if (!serial || ctx[1] != syscall || current_pid_tgid() >> 32 != pid)
		return 0;
	for (u32 i = 0; i < 256 && i < records_per_call; i++) {
		struct record record = { { length_byte, 0x80, 0x80, 0 }, pid, *serial };

		long err = output(ctx, &events, 0xffffffff, &record, sizeof(record));

		if (err) {
			u32 no_ring = err == -ENOENT;
			u64 *records = lookup(&unwritten, &no_ring);

			if (records)
				(*records)++;
		}
		(*serial)++;
	}

	u64 key = syscall;
	struct call_count *count = lookup(&calls, &key);
	struct call_count first = { 1, 7 };

	if (count)
		count->calls++;
	else
		update(&calls, &key, &first, 0);
	return 0;
}

struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
} KERNEL;
struct sock_common {
	u16 skc_num;
} KERNEL;
struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
} KERNEL;

SEC("iter/tcp") int local_ports(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;
	u16 port;

	if (!sk)
		return 0;
	port = sk->skc_num;
	seq_write(ctx->meta->seq, &port, sizeof(port));
	return 0;
}

SEC("tp_btf/no_such_tracepoint") int no_hook(u64 *ctx)
{
	return 0;
}

SEC("tp_btf/kfree_skb") int refused(u64 *ctx)
{
	return ctx[100];
}

struct sk_buff {
	int no_such_member;
} KERNEL;

SEC("tp_btf/kfree_skb") int missing_member(u64 *ctx)
{
	return ((struct sk_buff *)ctx[0])->no_such_member;
}

SEC("raw_tp/no_such_tracepoint") int no_raw_hook(u64 *ctx)
{
	return 0;
}

SEC("raw_tp/kfree_skb") int skipped(u64 *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
