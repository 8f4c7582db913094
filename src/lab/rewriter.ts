// SPDX-License-Identifier: Apache-2.0

import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { builtFile } from '../host/built.ts';
import type { Lab } from './lab.ts';
import { leftovers, missingCommands, run } from './netns.ts';

const BPFFS = '/sys/fs/bpf';
const HOOKS = ['getpeername4', 'getpeername6'];

/** Why peers cannot be rewritten here, or null. */
export function rewriterLacks(): string | null {
  if (!existsSync(object())) return `${object()}, which make builds`;
  return missingCommands(['bpftool'])[0] ?? null;
}

/** Makes a cgroup in which a balancer's connections are shown as those of the client behind it. */
export function rewritePeers(lab: Lab): void {
  const cgroup = cgroupOf(lab);
  const pins = join(BPFFS, lab.server.name);
  mkdirSync(cgroup);
  lab.defer(() => rmdirSync(cgroup));
  run('bpftool', ['prog', 'loadall', object(), pins]);
  lab.defer(() => rmSync(pins, { recursive: true }));
  for (const hook of HOOKS) {
    const program = ['pinned', join(pins, hook)];
    run('bpftool', ['cgroup', 'attach', cgroup, hook, ...program]);
    lab.defer(() => run('bpftool', ['cgroup', 'detach', cgroup, hook, ...program]));
  }
}

/** A program goes with its cgroup, once nothing pins it. */
export function sweepRewriters(): void {
  for (const name of leftovers(BPFFS)) rmSync(join(BPFFS, name), { recursive: true });
  const cgroups = cgroupMount();
  if (cgroups === null) return;
  for (const name of leftovers(cgroups)) rmdirSync(join(cgroups, name));
}

/** Works in that cgroup. */
export function rewritten<T>(lab: Lab, work: () => T): T {
  const home = cgroupCalled(ownCgroup());
  enter(cgroupOf(lab));
  try {
    return work();
  } finally {
    enter(home);
  }
}

const object = () => builtFile('getpeername.bpf.o');

function cgroupOf(lab: Lab): string {
  return cgroupCalled(lab.server.name);
}

function cgroupCalled(path: string): string {
  const mount = cgroupMount();
  if (mount === null) throw new Error('no cgroup2 is mounted');
  return join(mount, path);
}

function enter(cgroup: string): void {
  writeFileSync(join(cgroup, 'cgroup.procs'), String(process.pid));
}

function cgroupMount(): string | null {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '));
  return mounts.find(([, , type]) => type === 'cgroup2')?.[1] ?? null;
}

function ownCgroup(): string {
  return readFileSync('/proc/self/cgroup', 'utf8').match(/^0::(.*)$/m)?.[1] ?? '/';
}
