// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { release } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Lab } from '../../../src/lab/lab.ts';
import { run } from '../../../src/lab/netns.ts';
import { HOSTS } from '../../../src/lab/wiring.ts';

const UNLOADS = 10;
const MAX_TIME_WAIT = 262_144;
const CGROUP = '/sys/fs/cgroup';
const PIN = '/sys/fs/bpf/toa_sender';

/** Option kinds in use: the usual one, Akamai's, UCloud's. */
export const KINDS = [254, 253, 200] as const;

/** Modules that `build` makes: they do the same under other names. */
export type Module = 'toa' | 'toa_other';

/** The one that `build` made for this kernel. */
export function load(built: string, module: Module = 'toa'): void {
  run('insmod', [join(built, release(), `${module}.ko`)]);
}

export function unload(module: Module = 'toa'): void {
  run('rmmod', [module]);
}

/** From now on every connect of this machine over IPv4 carries the option. */
export function sendOption(lab: Lab, built: string): void {
  const program = ['pinned', PIN];
  run('bpftool', ['prog', 'load', join(built, 'sender.bpf.o'), PIN]);
  lab.defer(() => run('rm', [PIN]));
  run('bpftool', ['cgroup', 'attach', CGROUP, 'sock_ops', ...program]);
  lab.defer(() => run('bpftool', ['cgroup', 'detach', CGROUP, 'sock_ops', ...program]));
}

export function setKind(kind: number): void {
  run('bpftool', ['map', 'update', 'name', 'toa_kind', 'key', ...word(0), 'value', ...word(kind)]);
}

/** The server sees the client's connections as the balancer's. */
export function balance(lab: Lab): void {
  const { server, balancer } = HOSTS[4];
  lab.client.exec(
    'nft',
    [
      'add table balancer',
      'add chain balancer out { type nat hook postrouting priority 100; }',
      `add rule balancer out ip daddr ${server} snat to ${balancer}`,
    ]
      .join('; ')
      .split(' '),
  );
}

/**
 * Unloads it while a process connects, accepts and asks for names without a pause. Returns how often
 * that was.
 */
export async function unloadInUse(built: string): Promise<string> {
  // Where the table of TIME_WAIT is full the kernel forgets a connection, and resets its last segment.
  run('sysctl', ['-qw', `net.ipv4.tcp_max_tw_buckets=${MAX_TIME_WAIT}`]);
  const churn = spawn(process.execPath, [fileURLToPath(new URL('churn.ts', import.meta.url))], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(churn.stdout, 'data');
  for (let time = 0; time < UNLOADS; time++) {
    load(built);
    await sleep(200);
    unload();
  }
  churn.stdin.end();
  const [[counted], [status]] = await Promise.all([
    once(churn.stdout, 'data'),
    once(churn, 'exit'),
  ]);
  assert.equal(status, 0);
  return `unloaded ${UNLOADS} times in use: ${String(counted).trim()}`;
}

/** As bpftool reads it: the bytes, lowest first. */
function word(number: number): string[] {
  return [number, 0, 0, 0].map(String);
}
