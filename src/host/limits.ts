// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { cgroup2Root } from './cgroup.ts';

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

/** Those that a process is killed by or fails of where they are too low. */
export function limits(): Limit[] {
  const memory = memoryMax();
  return [
    {
      of: 'open files',
      by: 'ulimit -n; of a service LimitNOFILE=',
      most: openFiles(),
      needed: FILES + FILES_A_CPU * cpus().length,
      unit: '',
    },
    {
      of: 'memory',
      by: memory
        ? `memory.max of the cgroup ${memory.cgroup}; of a service MemoryMax=`
        : 'no cgroup',
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

function openFiles(): number | null {
  const [, most] = /^Max open files +(\d+|unlimited)/m.exec(read('/proc/self/limits')) ?? [];
  return most === undefined || most === 'unlimited' ? null : Number(most);
}

/** The lowest of the cgroup that this process is in, and of those around it. */
function memoryMax(): { cgroup: string; bytes: number } | null {
  const [, path = '/'] = /^0::(\/.*)$/m.exec(read('/proc/self/cgroup')) ?? [];
  const root = cgroup2Root();
  if (root === null) return null;
  const levels = path.split('/').filter((level) => level !== '');
  const found = levels.flatMap((_, up) => {
    const cgroup = `/${levels.slice(0, levels.length - up).join('/')}`;
    const bytes = Number.parseInt(read(join(root, cgroup, 'memory.max')), 10);
    return Number.isNaN(bytes) ? [] : [{ cgroup, bytes }];
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
