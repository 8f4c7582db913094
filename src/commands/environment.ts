// SPDX-License-Identifier: Apache-2.0

import { UsageError } from './options.ts';

/** Why the kernel cannot be watched, and what to do about it. */
export function attachError(error: unknown): Error {
  const { code, message } = error as { code?: string; message: string };
  switch (code) {
    case 'EPERM':
      return new UsageError(
        `not permitted to load BPF programs: run it as root (sudo tcpwhy …), or give it CAP_BPF and CAP_PERFMON.\n  ${message}`,
      );
    case 'ENOBTF':
      return new UsageError(
        `this kernel has no BTF (/sys/kernel/btf/vmlinux), which tells where its fields lie: use a kernel built with CONFIG_DEBUG_INFO_BTF.\n  ${message}`,
      );
    case 'ENOENT':
    case 'ENOADDON':
      return new UsageError(`a part of tcpwhy is missing: build it with make.\n  ${message}`);
    default:
      return error instanceof Error ? error : new Error(message);
  }
}
