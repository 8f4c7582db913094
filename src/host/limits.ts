// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { CAP_IPC_LOCK, has } from './capabilities.ts';

/** Something that this process may have only so much of. */
export interface Limit {
  /** `open files`, `memory`. */
  of: string;
  /** Who says so, and how it is changed. */
  by: string;
  /** Null: as much as it wants. */
  most: number | null;
  /** Less is too little to watch the kernel. */
  needed: number;
  unit: 'MiB' | '';
}

/** What the programs, their links and maps take, and Node itself; and of each CPU a buffer. */
const FILES = 120;
const FILES_A_CPU = 2;
const MEMORY_MIB = 96;
/** Node sets more aside than it ever uses. */
const ADDRESSES_MIB = 2048;

/** Those that a process is killed by or fails of where they are too low. */
export function limits(proc = '/proc'): Limit[] {
  const own = read(`${proc}/self/limits`);
  const memory = memoryMax(proc);
  const addresses = ownLimit(own, 'address space');
  return [
    {
      of: 'open files',
      by: 'ulimit -n; of a service LimitNOFILE=',
      most: ownLimit(own, 'open files'),
      needed: FILES + FILES_A_CPU * cpus().length,
      unit: '',
    },
    {
      of: 'addresses',
      by: 'ulimit -v; of a service LimitAS=',
      most: addresses && Math.floor(addresses / 2 ** 20),
      needed: ADDRESSES_MIB,
      unit: 'MiB',
    },
    {
      of: 'memory',
      by: memory ? `${memory.by}; of a service MemoryMax=` : 'no cgroup',
      most: memory && Math.floor(memory.bytes / 2 ** 20),
      needed: MEMORY_MIB,
      unit: 'MiB',
    },
  ];
}

/** The first limit that is too low. */
export function tooLow(): Limit | null {
  return limits().find(({ most, needed }) => most !== null && most < needed) ?? null;
}

const PAGE_BYTES = 4096;

/** How large a ring of each of so many CPUs this process may have, beside the page that it begins with. */
export function lockable_bytes(cpus: number): number {
  if (has(CAP_IPC_LOCK)) return Number.POSITIVE_INFINITY;
  const locked = ownLimit(read('/proc/self/limits'), 'locked memory');
  const free = 1024 * Number.parseInt(read('/proc/sys/kernel/perf_event_mlock_kb'), 10);
  return (free || 0) + (locked ?? Number.POSITIVE_INFINITY) / cpus - PAGE_BYTES;
}

/** The soft limit counts; null: there is none. */
function ownLimit(text: string, name: string): number | null {
  const most = new RegExp(`^Max ${name} +(\\d+)`, 'm').exec(text)?.[1];
  return most === undefined ? null : Number(most);
}

/** More is what the first version of cgroups has where nothing is set. */
const UNLIMITED_BYTES = 2 ** 62;

/** The lowest of the cgroups that this process is in, of either version, and of those around them. */
function memoryMax(proc: string): { by: string; bytes: number } | null {
  const mounts = read(`${proc}/self/mounts`)
    .split('\n')
    .map((line) => line.split(' '));
  const cgroups = read(`${proc}/self/cgroup`);
  const found = [
    { file: 'memory.max', path: /^0::(.*)$/m, type: 'cgroup2', option: null },
    { file: 'memory.limit_in_bytes', path: /:memory:(.*)$/m, type: 'cgroup', option: 'memory' },
  ].flatMap(({ file, path, type, option }) => {
    const own = path.exec(cgroups)?.[1];
    // One may lie under another mount.
    const places = mounts.filter(
      (one) => one[2] === type && (option === null || one[3]?.split(',').includes(option)),
    );
    const levels = (own ?? '').split('/').filter((level) => level !== '' && level !== '..');
    // What a container takes for the root of all cgroups has limits too.
    const around = [...levels, ''].map(
      (_, up) => `/${levels.slice(0, levels.length - up).join('/')}`,
    );
    return places.flatMap(([, root = '']) =>
      around.flatMap((cgroup) => {
        const bytes = Number.parseInt(read(join(root, cgroup, file)), 10);
        return Number.isNaN(bytes) || bytes > UNLIMITED_BYTES
          ? []
          : [{ by: `${file} of the cgroup ${cgroup}`, bytes }];
      }),
    );
  });
  return found.sort((a, b) => a.bytes - b.bytes)[0] ?? null;
}

/** Empty where it cannot be read. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
