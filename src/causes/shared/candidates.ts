// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import type { Flow } from '../../wire/types.gen.ts';

/** Where packets without an answer were captured: at the end that they were sent to. */
export const AT_RECEIVER = 2;

/** What may be why packets were not answered, with the command that decides it. */
export interface Candidate {
  cause: string;
  /** Others that the same command tells apart. */
  also?: readonly string[];
  decides(flow: Flow): string;
}

/**
 * First what counters or a log of the host say, then what they do not tell of; and not what they rule out. They are
 * of all ports: what moved may have been for another one.
 */
export function byCounters(all: readonly Candidate[], known: Knowledge): readonly Candidate[] {
  const countOf = ({ cause }: Candidate) =>
    known.toldOf(cause).reduce((sum, { count }) => sum + count, 0);
  const moved = all.filter((one) => countOf(one) > 0);
  return [...moved, ...all.filter(({ cause }) => known.toldOf(cause).length === 0)];
}

/** As evidence has them. */
export function ids(those: readonly Candidate[]): string[] {
  return those.flatMap(({ cause, also = [] }) => [cause, ...also]);
}

/** `TcpExt.ListenOverflows 7`. */
export function movedText(all: readonly Candidate[], known: Knowledge): string[] {
  return all
    .flatMap(({ cause }) => known.toldOf(cause))
    .filter(({ count }) => count > 0)
    .map(({ by, count }) => `${by} ${count}`);
}

/** Where it was captured at the end that it was sent to. */
export const DROPPED_THERE: Candidate = {
  cause: 'netfilter-drop',
  decides: ({ daddr }) =>
    `a rule of ${daddr} drops it: \`nft list ruleset | grep -nE 'drop|policy drop'\` or \`iptables-save -c | grep -i drop\``,
};

/** Where it was captured at the end that sent it. */
export const DROPPED_SOMEWHERE: Candidate = {
  cause: 'netfilter-drop',
  decides: ({ saddr, daddr, dport }) =>
    `a firewall on the way or at ${daddr} drops it without a word. Does it arrive? There: \`tcpdump -ni any tcp port ${dport} and host ${saddr}\``,
};
