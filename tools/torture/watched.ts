// SPDX-License-Identifier: Apache-2.0

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

const LOOK_MS = 50;
/** A second: user space has the same on every kernel. */
const TICKS = 100;

export interface Watched {
  status: number | null;
  stdout: string;
  stderr: string;
  seconds: number;
  /** Of the processors, whatever else the machine does. */
  cpu_s: number;
  /** The most that one of its processes had, resident. */
  peak_mib: number;
}

/** Runs a command of the shell to its end, at most so long; its memory is looked at meanwhile. */
export async function watched(command: string, patience_s: number): Promise<Watched> {
  const began_ms = performance.now();
  const child = spawn('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const printed = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      // Of much the end is enough.
      printed[name] = (printed[name] + text).slice(-(1 << 20));
    });
  let peak_kib = 0;
  const cpu = new Map<number, number>();
  const looking = setInterval(() => {
    for (const pid of withChildren(child.pid ?? 0)) {
      peak_kib = Math.max(peak_kib, peakOf(pid));
      cpu.set(pid, Math.max(cpu.get(pid) ?? 0, cpuOf(pid)));
    }
  }, LOOK_MS);
  const late = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), patience_s * 1000);
  await once(child, 'close');
  clearInterval(looking);
  clearTimeout(late);
  return {
    status: child.exitCode,
    ...printed,
    seconds: (performance.now() - began_ms) / 1000,
    cpu_s: [...cpu.values()].reduce((sum, seconds) => sum + seconds, 0),
    peak_mib: Math.round(peak_kib / 1024),
  };
}

/** Also those that it is no more than the parent of. */
function withChildren(pid: number): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).trim().split(' ');
  return [pid, ...children.filter((one) => one !== '').flatMap((one) => withChildren(Number(one)))];
}

function peakOf(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0);
}

/** Its own, in its own and in the kernel's code. */
function cpuOf(pid: number): number {
  const fields = read(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS;
}

/** Empty where the process is gone. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
