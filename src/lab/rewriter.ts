// SPDX-License-Identifier: Apache-2.0

import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { builtFile } from '../host/built.ts';
import { cgroup2Root } from '../host/cgroup.ts';
import type { Lab } from './lab.ts';
import { BPFFS } from './leftovers.ts';
import { missingCommands, run } from './netns.ts';

const HOOKS = ['getpeername4', 'getpeername6'] as const;

export type Hook = (typeof HOOKS)[number];

/** Why peers cannot be rewritten here, or null. */
export function rewriterLacks(): string | null {
  if (!existsSync(object())) return `${object()}, which make builds`;
  return missingCommands(['bpftool'])[0] ?? null;
}

/** Makes a cgroup in which a balancer's connections are shown as those of the client behind it. */
export function rewritePeers(lab: Lab): void {
  const cgroup = makeCgroup(lab, lab.server.name);
  const programs = loadRewriters(lab, lab.server.name);
  for (const hook of HOOKS) attachRewriter(cgroup, hook, programs);
}

/** A cgroup by its path, gone with the lab. */
export function makeCgroup(lab: Lab, path: string): string {
  const cgroup = cgroupCalled(path);
  mkdirSync(cgroup);
  lab.defer(() => rmdirSync(cgroup));
  return cgroup;
}

/** Programs for both families: the folder where they are pinned. */
export function loadRewriters(lab: Lab, name: string): string {
  const pins = join(BPFFS, name);
  run('bpftool', ['prog', 'loadall', object(), pins]);
  lab.defer(() => rmSync(pins, { recursive: true }));
  return pins;
}

/** In the place of one that is there, unless each is `multi`. It goes with its cgroup. */
export function attachRewriter(
  cgroup: string,
  hook: Hook,
  programs: string,
  ...flags: 'multi'[]
): void {
  const program = ['pinned', join(programs, hook)];
  run('bpftool', ['cgroup', 'attach', cgroup, hook, ...program, ...flags]);
}

/** Works in that cgroup. */
export function rewritten<T>(lab: Lab, work: () => T): T {
  return within(cgroupCalled(lab.server.name), work);
}

export function within<T>(cgroup: string, work: () => T): T {
  const home = cgroupCalled(ownCgroup());
  enter(cgroup);
  try {
    return work();
  } finally {
    enter(home);
  }
}

const object = () => builtFile('getpeername.bpf.o');

function cgroupCalled(path: string): string {
  const mount = cgroup2Root();
  if (mount === null) throw new Error('no cgroup2 is mounted');
  return join(mount, path);
}

function enter(cgroup: string): void {
  writeFileSync(join(cgroup, 'cgroup.procs'), String(process.pid));
}

function ownCgroup(): string {
  return readFileSync('/proc/self/cgroup', 'utf8').match(/^0::(.*)$/m)?.[1] ?? '/';
}
