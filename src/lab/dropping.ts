// SPDX-License-Identifier: Apache-2.0

import { existsSync } from 'node:fs';
import { builtFile } from '../host/built.ts';
import type { Netns } from './netns.ts';

/** The port that the programs of bpf/lab/dropping.bpf.c refuse. */
export const DROPPED_PORT = 7443;

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

const object = () => builtFile('dropping.bpf.o');
