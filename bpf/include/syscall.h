/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a system call was given: its socket, and an address in the memory of the process. */
#ifndef TCPWHY_SYSCALL_H
#define TCPWHY_SYSCALL_H

#include "segment.h"

struct sockaddr_any {
	u16 family;
	__be16 port;
	u8 rest[24];
};

/* Where in `rest` IPv6 has its address and the number of an interface. */
#define SOCKADDR_V6 4
#define SOCKADDR_SCOPE 20
#define SOCKADDR_V4_BYTES 16

static __always_inline const struct file *file_of_fd(u32 fd)
{
	const struct file *file = NULL;
	struct file *const *files;
	const struct fdtable *fdt;
	u32 count;

#ifndef PROBES
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf)) {
		fdt = UNTRUSTED(bpf_get_current_task_btf())->files->fdt;
		files = fdt->fd;
		count = fdt->max_fds;
	} else
#endif
	{
		fdt = BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), files, fdt);
		files = BPF_CORE_READ(fdt, fd);
		count = BPF_CORE_READ(fdt, max_fds);
	}
	if (fd < count)
		bpf_probe_read_kernel(&file, sizeof(file), &files[fd]);
	return file;
}

static __always_inline struct socket *socket_of_fd(u32 fd, bool is_socket)
{
	const struct file *file = file_of_fd(fd);

	if (!file || (!is_socket && (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK))
		return NULL;
	return BPF_CORE_READ(file, private_data);
}

/* The whole of IPv6's, where that much can be read. */
static __always_inline bool read_sockaddr(struct sockaddr_any *a, const void *user)
{
	return user && (!bpf_probe_read_user(a, sizeof(*a), user) ||
			!bpf_probe_read_user(a, SOCKADDR_V4_BYTES, user));
}

/* False where it is of another family. */
static __always_inline bool sockaddr_end(const struct sockaddr_any *a, u8 *addr, u32 *port)
{
	*port = bpf_ntohs(a->port);
	if (a->family == AF_INET) {
		__be32 v4;

		__builtin_memcpy(&v4, a->rest, 4);
		map_ipv4(addr, v4);
		return true;
	}
	if (a->family != AF_INET6)
		return false;
	__builtin_memcpy(addr, a->rest + SOCKADDR_V6, 16);
	return true;
}

#endif
