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
        `no BTF, which tells where this kernel’s fields lie: run a kernel built with CONFIG_DEBUG_INFO_BTF, or give a BTF file made for this very kernel with --btf FILE (pahole -J on its vmlinux with debug information, then objcopy --dump-section .BTF=FILE).\n  ${message}`,
      );
    case 'ENOENT':
    case 'ENOADDON':
      return new UsageError(`a part of tcpwhy is missing: build it with make.\n  ${message}`);
    default:
      return error instanceof Error ? error : new Error(message);
  }
}
