// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from './lab.ts';
import { leftovers, run } from './netns.ts';

const BPFFS = '/sys/fs/bpf';
const HOOKS = ['getpeername4', 'getpeername6'];

/** Makes a cgroup whose getpeername programs are those of the BPF object. */
export function rewritePeers(lab: Lab, object: string): void {
  sweepRewriters();
  const cgroup = cgroupOf(lab);
  const pins = join(BPFFS, lab.server.name);
  mkdirSync(cgroup);
  lab.defer(() => rmdirSync(cgroup));
  run('bpftool', ['prog', 'loadall', object, pins]);
  lab.defer(() => rmSync(pins, { recursive: true }));
  for (const hook of HOOKS) {
    const program = ['pinned', join(pins, hook)];
    run('bpftool', ['cgroup', 'attach', cgroup, hook, ...program]);
    lab.defer(() => run('bpftool', ['cgroup', 'detach', cgroup, hook, ...program]));
  }
}

/** A program goes with its cgroup, once nothing pins it. */
function sweepRewriters(): void {
  for (const name of leftovers(BPFFS)) rmSync(join(BPFFS, name), { recursive: true });
  for (const name of leftovers(cgroupMount())) rmdirSync(join(cgroupMount(), name));
}

/** Works in that cgroup. */
export function rewritten<T>(lab: Lab, work: () => T): T {
  const home = join(cgroupMount(), ownCgroup());
  enter(cgroupOf(lab));
  try {
    return work();
  } finally {
    enter(home);
  }
}

function cgroupOf(lab: Lab): string {
  return join(cgroupMount(), lab.server.name);
}

function enter(cgroup: string): void {
  writeFileSync(join(cgroup, 'cgroup.procs'), String(process.pid));
}

function cgroupMount(): string {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '));
  const mount = mounts.find(([, , type]) => type === 'cgroup2')?.[1];
  if (!mount) throw new Error('no cgroup2 is mounted');
  return mount;
}

function ownCgroup(): string {
  return readFileSync('/proc/self/cgroup', 'utf8').match(/^0::(.*)$/m)?.[1] ?? '/';
}
