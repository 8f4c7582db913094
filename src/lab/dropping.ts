// SPDX-License-Identifier: Apache-2.0

import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { builtFile } from '../host/built.ts';
import type { Lab } from './lab.ts';
import { BPFFS } from './leftovers.ts';
import { type Netns, run } from './netns.ts';
import { makeCgroup } from './rewriter.ts';

/** The port that the programs of bpf/lab/dropping.bpf.c refuse. */
export const DROPPED_PORT = 7443;
/** The one that the program of tc sends on to a device that is not there. */
export const REDIRECTED_PORT = 7444;

/** Why nothing can be dropped by a program here, or null. */
export function droppingLacks(): string | null {
  return existsSync(object()) ? null : `${object()}, which make builds`;
}

/** Has a program of tc drop what comes in at a device, or leaves by it. */
export function dropAtTc(netns: Netns, device: string, direction: 'ingress' | 'egress'): void {
  netns.exec('tc', ['qdisc', 'add', 'dev', device, 'clsact']);
  const filter = ['filter', 'add', 'dev', device, direction];
  netns.exec('tc', [...filter, 'bpf', 'da', 'obj', object(), 'sec', 'tc']);
}

/** Has an XDP program drop what comes in at a device: the kernel runs it, or the driver. */
export function dropAtXdp(netns: Netns, device: string, by: 'xdpgeneric' | 'xdpdrv'): void {
  netns.ip(`link set dev ${device} ${by} obj ${object()} sec xdp`);
}

/** Makes a cgroup in which a program does not let the port be dialled; its path. */
export function denyInCgroup(lab: Lab, path: string): string {
  const cgroup = makeCgroup(lab, path);
  const pins = join(BPFFS, path);
  run('bpftool', ['prog', 'loadall', object(), pins]);
  lab.defer(() => rmSync(pins, { recursive: true }));
  for (const [hook, program] of CONNECT_HOOKS)
    run('bpftool', ['cgroup', 'attach', cgroup, hook, 'pinned', join(pins, program)]);
  return cgroup;
}

const CONNECT_HOOKS = [
  ['connect4', 'lab_policy_c4'],
  ['connect6', 'lab_policy_c6'],
] as const;

const object = () => builtFile('dropping.bpf.o');
