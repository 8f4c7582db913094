// SPDX-License-Identifier: Apache-2.0

import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { CAPABILITIES, has, inUserNamespace } from '../host/capabilities.ts';
import { type Limit, tooLow } from '../host/limits.ts';
import type { AttachOptions } from '../source/attach.ts';
import { LiveSource } from '../source/live.ts';
import { connectToService, type FrontHalf, RemoteSource } from '../source/remote.ts';
import type { KernelSource } from '../source/source.ts';
import { caller } from './caller.ts';
import type { AttachFlags } from './flags.ts';
import { UsageError } from './usage.ts';

/** Records a second of one key on one CPU; counts stay exact whatever it is. */
export const RECORDS_PER_S = 100;
/** Where a file is what is wanted: enough for all but a storm, which would fill the disk. */
const RECORDS_PER_S_TO_FILE = 1000;
/** Where the others are kept too, so many are explained at once: all but those of a storm. */
const EXPLAINED_AT_ONCE = 1000;

/** Shown while it does not watch yet. */
export const ATTACHING = 'attaching…';

/** How to attach, but for the filter. */
export function attachOptions(flags: AttachFlags) {
  const { tier, btf, hostName: host_name, toaKind: toa_kinds } = flags;
  return {
    ...sampling(flags),
    tier: tier ?? 'hooks',
    btf: btf ?? undefined,
    host_name,
    toa_kinds,
  };
}

/** How many records are made: every one with `everyRecord`. */
export function sampling({ everyRecord, output }: Pick<AttachFlags, 'everyRecord' | 'output'>) {
  if (everyRecord)
    return { records_per_s: RECORDS_PER_S, burst: EXPLAINED_AT_ONCE, every_record: true };
  return { records_per_s: output === null ? RECORDS_PER_S : RECORDS_PER_S_TO_FILE };
}

/** Throws UsageError where this process or kernel cannot be watched. */
export function openLive(options: AttachOptions): LiveSource {
  checkLimits();
  return opened(() => LiveSource.open(options));
}

/** Begins to watch. Throws UsageError where this process or kernel cannot be watched. */
type Opening = (options: AttachOptions) => KernelSource;

/**
 * The same in two steps, of which whoever called it by sudo has all of this process from the first one on; and who may
 * not watch the kernel does it by the service.
 */
export function toOpen(half: FrontHalf): Opening {
  const by = caller();
  if (by) {
    checkLimits();
    const open = RemoteSource.begin(by, half);
    return (options) => opened(() => open(options));
  }
  const { CAP_BPF, CAP_SYS_ADMIN } = CAPABILITIES;
  const mayWatch = process.geteuid?.() === 0 || has(CAP_BPF.number) || has(CAP_SYS_ADMIN.number);
  return mayWatch ? openLive : toOpenByService(half);
}

/** Both steps. */
export function openSource(options: AttachOptions): KernelSource {
  return toOpen('front')(options);
}

function toOpenByService(half: FrontHalf): Opening {
  let open: (options: AttachOptions) => KernelSource;
  try {
    open = RemoteSource.ofService(connectToService(), half);
  } catch (error) {
    open = () => {
      throw serviceError(error);
    };
  }
  return (options) => {
    if (options.btf !== undefined)
      throw new UsageError(
        '--btf takes root (sudo tcpwhy …): the service reads only what it has itself',
      );
    return opened(() => open(options));
  };
}

function opened<S extends KernelSource>(open: () => S): S {
  try {
    return open();
  } catch (error) {
    throw attachError(error);
  }
}

/** What the kernel tells of itself by files, and how that is had. */
const MOUNTS = {
  '/proc/self': 'mount -t proc proc /proc',
  '/sys/devices/system/cpu': 'mount -t sysfs sysfs /sys',
};

/** Of this process, and of the reader that it begins; a service has its own. */
function checkLimits(): void {
  for (const [path, mount] of Object.entries(MOUNTS))
    if (!existsSync(path))
      throw new UsageError(
        `${path} is missing, without which the kernel cannot be watched: ${mount}, or give that of the host to the container.`,
      );
  const limit = tooLow();
  if (limit) throw new UsageError(limitText(limit));
}

function limitText({ of, by, most, needed, unit }: Limit): string {
  const what = unit === '' ? of : `${unit} of ${of}`;
  return `too little to watch the kernel with: this process may have ${most} ${what}, and it takes ${needed}. Raise the limit (${by}).`;
}

/** Why there is nobody to watch the kernel for a plain user, and what to do about it. */
function serviceError(error: unknown): Error {
  const { code, message } = error as { code?: string; message: string };
  switch (code) {
    case 'EACCES':
      return new UsageError(
        `not permitted to watch the kernel: the service that does it serves group tcpwhy only. Run it as root (sudo tcpwhy …), or have root add you, and log in anew: sudo usermod -aG tcpwhy ${userName()}\n  ${message}`,
      );
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new UsageError(
        `not permitted to watch the kernel: run it as root (sudo tcpwhy …), or have root start the service that does it for group tcpwhy, where a package brought it: sudo systemctl enable --now tcpwhy.socket\n  ${message}`,
      );
    default:
      return new UsageError(
        `not permitted to watch the kernel: run it as root (sudo tcpwhy …).\n  ${message}`,
      );
  }
}

function userName(): string {
  try {
    const { username } = userInfo();
    return /^[\w.-]+$/.test(username) ? username : 'USER';
  } catch {
    return 'USER';
  }
}

/** Whom the kernel permits it. */
function permission(): string {
  if (inUserNamespace())
    return 'root of a rootless container is not root of the host, which it takes: run it there (sudo tcpwhy …)';
  if (process.geteuid?.() !== 0)
    return 'run it as root (sudo tcpwhy …), or give it CAP_BPF and CAP_PERFMON';
  return 'this is root, but with less than CAP_BPF and CAP_PERFMON, or a system call filter, as containers have it: give the container these and CAP_SYS_ADMIN, CAP_SYS_PTRACE (podman run --cap-add …), or run it on the host';
}

/** Why the kernel cannot be watched, and what to do about it. */
function attachError(error: unknown): Error {
  const { code, message } = error as { code?: string; message: string };
  switch (code) {
    case 'EPERM':
      return new UsageError(`not permitted to load BPF programs: ${permission()}.\n  ${message}`);
    case 'ENOBTF':
      return new UsageError(
        `no BTF, which tells where this kernel’s fields lie: run a kernel built with CONFIG_DEBUG_INFO_BTF, or give a BTF file made for this very kernel with --btf FILE (pahole -J on its vmlinux with debug information, then objcopy --dump-section .BTF=FILE).\n  ${message}`,
      );
    case 'ENOSYS':
      return new UsageError(
        `this kernel has no BPF (CONFIG_BPF_SYSCALL), as those before 3.18 and some emulated ones: nothing can be watched on it. What tcpdump captures on it can be explained (tcpwhy explain), and so can netstat -s before and after (--counters).\n  ${message}`,
      );
    case 'ENOENT':
    case 'ENOADDON':
      return new UsageError(`a part of tcpwhy is missing: build it with make.\n  ${message}`);
    default:
      return error instanceof Error ? error : new Error(message);
  }
}
