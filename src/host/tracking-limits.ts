// SPDX-License-Identifier: Apache-2.0

import type { TrackingLimits } from '../wire/types.gen.ts';

const SETTINGS = [
  'timeout_fin_wait',
  'timeout_close_wait',
  'timeout_unacknowledged',
  'timeout_max_retrans',
  'be_liberal',
];

/** Files of /proc that have them, the counters first. */
export const LIMITS = [
  'thread-self/net/stat/nf_conntrack',
  ...SETTINGS.map((name) => `sys/net/netfilter/nf_conntrack_tcp_${name}`),
];

/** Null where connections are not tracked there. */
export function limitsOf(
  netns: number,
  [stat, ...files]: (string | null)[],
): TrackingLimits | null {
  if (files.some((text) => text === null)) return null;
  const [
    fin_wait_s = 0,
    close_wait_s = 0,
    unacknowledged_s = 0,
    retransmitted_s = 0,
    be_liberal = 0,
  ] = files.map(Number);
  return {
    ...{ netns, fin_wait_s, close_wait_s, unacknowledged_s, retransmitted_s, be_liberal },
    early_drops: sumOf(stat ?? '', 'early_drop'),
  };
}

/** A line of names, and one a CPU. */
function sumOf(text: string, name: string): number {
  const [names = [], ...cpus] = text.split('\n').map((line) => line.trim().split(/\s+/));
  const at = names.indexOf(name);
  return cpus.reduce((sum, cpu) => sum + (Number.parseInt(cpu[at] ?? '0', 16) || 0), 0);
}
