// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';

/** User and system, in milliseconds: clock ticks are hundredths of a second on every Linux. */
export function cpuTime_ms(pid: number): number {
  const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const fields = rest.split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

/** A line of its status that is of memory: `VmRSS`. */
export function memory_bytes(pid: number, name: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(status.match(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm'))?.[1]) * 1024;
}

/** Of halves that share the file that they run: it is counted once. */
export function together_bytes(pids: readonly number[], name: 'VmRSS' | 'VmHWM'): number {
  const files = pids.map((pid) => memory_bytes(pid, 'RssFile'));
  const all = pids.reduce((sum, pid) => sum + memory_bytes(pid, name), 0);
  return all - files.reduce((sum, one) => sum + one, 0) + Math.max(...files);
}
