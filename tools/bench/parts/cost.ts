// SPDX-License-Identifier: Apache-2.0

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

/** Of a second of the times in /proc/PID/stat. */
const TICKS_A_SECOND = 100;

export interface Cost {
  seconds: number;
  /** Of all its threads, up to a fifth of a second before its end. */
  cpu_seconds: number;
  peak_bytes: number;
}

/** Runs tcpwhy to its end; the kernel keeps the most memory that it had. Throws where its status is none of `statuses`. */
export async function costOf(args: string[], statuses = [0]): Promise<Cost> {
  const began_ms = performance.now();
  const child = spawn('build/tcpwhy', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = once(child, 'exit');
  let [peak_bytes, cpu_seconds] = [0, 0];
  while (child.exitCode === null && child.signalCode === null) {
    peak_bytes = Math.max(peak_bytes, residentPeak(child.pid));
    cpu_seconds = Math.max(cpu_seconds, cpuSeconds(child.pid));
    await Promise.race([ended, setTimeout(200)]);
  }
  if (child.exitCode === null || !statuses.includes(child.exitCode))
    throw new Error(`tcpwhy ${args.join(' ')} ended with ${child.exitCode ?? child.signalCode}`);
  return { seconds: (performance.now() - began_ms) / 1000, cpu_seconds, peak_bytes };
}

function cpuSeconds(pid: number | undefined): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
  } catch {
    return 0;
  }
}

function residentPeak(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(status.match(/^VmHWM:\s+(\d+) kB$/m)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
