// SPDX-License-Identifier: Apache-2.0

import { readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cgroup2Root } from '../host/cgroup.ts';
import { RUN_NETNS, run } from './netns.ts';

export const BPFFS = '/sys/fs/bpf';

/** Takes away what processes that ended without doing so had made: namespaces, pinned programs, cgroups. */
export function sweep(): void {
  for (const name of leftovers(RUN_NETNS)) run('ip', ['netns', 'del', name]);
  // A program goes with its cgroup, once nothing pins it.
  for (const name of leftovers(BPFFS)) rmSync(join(BPFFS, name), { recursive: true });
  const cgroups = cgroup2Root();
  if (cgroups === null) return;
  for (const name of leftovers(cgroups)) rmdirSync(join(cgroups, name));
}

/** What a lab named in this folder and did not take away, its process being gone. */
function leftovers(folder: string): string[] {
  return list(folder).filter((name) => {
    const pid = name.match(/^tcpwhy-(\d+)-/)?.[1];
    return pid !== undefined && !alive(Number(pid));
  });
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
