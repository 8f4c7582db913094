// SPDX-License-Identifier: Apache-2.0

import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ProcessState } from '../wire/types.gen.ts';
import { cgroup2Root, freezerRoot } from './cgroup.ts';

/** Inode number of the first namespace of processes, whose numbers BPF gives (PROC_PID_INIT_INO). */
const FIRST_PID_NAMESPACE = 'pid:[4026531836]';

/** Whether processes have the numbers in /proc that BPF gives: in a container they have others. */
export function hasFirstPids(proc = '/proc'): boolean {
  try {
    if (readlinkSync(`${proc}/self/ns/pid`) === FIRST_PID_NAMESPACE) return true;
    // Only the host's own has threads of the kernel; it may be mounted in a container.
    return readFileSync(`${proc}/2/comm`, 'utf8').trim() === 'kthreadd';
  } catch {
    return false;
  }
}

/** What may keep a process from its work: null where that cannot be told, as where its number is another one here. */
export function processState(pid: number, proc = '/proc'): ProcessState | null {
  try {
    if (!hasFirstPids(proc)) return null;
    const of = `${proc}/${pid}`;
    const ended = { ...NOT_TOLD, pid, gone: 1 };
    if (!existsSync(of)) return ended;
    const letter = stateLetter(readFileSync(`${of}/stat`, 'utf8'));
    if (ENDED.includes(letter)) return ended;
    const halted = HALTED[letter];
    const tracer = halted === 'traced' ? tracerOf(of, proc) : '';
    const open_files_max = mostFiles(readFileSync(`${of}/limits`, 'utf8'));
    const open_files = openFiles(`${of}/fd`);
    return {
      pid,
      halted: halted ?? (isFrozen(of, proc) ? 'frozen' : ''),
      tracer,
      open_files,
      open_files_max,
      gone: 0,
      waits_in: sleepsIn(`${of}/wchan`),
    };
  } catch {
    return null;
  }
}

const NOT_TOLD = { halted: '', tracer: '', open_files: 0, open_files_max: 0, waits_in: '' };

/** Before 6.0 a kernel may be built without. */
function sleepsIn(file: string): string {
  try {
    const name = readFileSync(file, 'utf8').trim();
    return name === '0' ? '' : name;
  } catch {
    return '';
  }
}

let refused = 0;

/** How often it could not be told how many files a process has open. */
export function processesRefused(): number {
  return refused;
}

/** 0 where it is not known. */
function openFiles(folder: string): number {
  try {
    return readdirSync(folder).length;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    // Since 6.2 it is told to whoever may see the process.
    const { size } = statSync(folder);
    if (size === 0) refused++;
    return size;
  }
}

/** It only waits for its parent to hear of it. */
const ENDED = ['Z', 'X'];

const HALTED: { [letter: string]: string } = { T: 'stopped', t: 'traced' };

/** The name before it may hold anything. */
function stateLetter(stat: string): string {
  return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
}

/** The soft limit counts; 0: there is none. */
function mostFiles(limits: string): number {
  return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? 0);
}

function tracerOf(of: string, proc: string): string {
  const pid = /^TracerPid:\s*(\d+)/m.exec(readFileSync(`${of}/status`, 'utf8'))?.[1] ?? '0';
  return pid === '0' ? '' : `${readFileSync(`${proc}/${pid}/comm`, 'utf8').trim()} (${pid})`;
}

/** As `docker pause` does it, with either version of cgroups. */
function isFrozen(of: string, proc: string): boolean {
  const cgroups = readFileSync(`${of}/cgroup`, 'utf8');
  const path = /^0::(.*)$/m.exec(cgroups)?.[1];
  const old = /^\d+:(?:[^:]*,)?freezer(?:,[^:]*)?:(.*)$/m.exec(cgroups)?.[1];
  return (
    says(cgroup2Root(), path, 'cgroup.events', /^frozen 1$/m) ||
    says(freezerRoot(`${proc}/self/mounts`), old, 'freezer.state', /^FROZEN$/m)
  );
}

function says(root: string | null, path: string | undefined, file: string, what: RegExp): boolean {
  if (path === undefined || root === null) return false;
  try {
    return what.test(readFileSync(join(root, path, file), 'utf8'));
  } catch {
    // The first cgroup has no such file.
    return false;
  }
}
