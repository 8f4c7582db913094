// SPDX-License-Identifier: Apache-2.0

import type { Netns } from './netns.ts';

/** A rule that has connection tracking look at what its chain sees. */
export const track = 'ct state new accept;';

/** Counters of connection tracking, summed over all CPUs. */
export function tracked(netns: Netns, name: string): number {
  const text = netns.exec('cat', ['/proc/net/stat/nf_conntrack']);
  const [names = [], ...cpus] = text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  const at = names.indexOf(name);
  return cpus.reduce((sum, cpu) => sum + Number.parseInt(cpu[at] ?? '0', 16), 0);
}
