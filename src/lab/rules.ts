// SPDX-License-Identifier: Apache-2.0

import type { Lab } from './lab.ts';

/**
 * Has the server's firewall do this to what comes to a port, or to what is answered from it, and count
 * it: `drop`, `reject with tcp reset`.
 */
export function rule(
  lab: Lab,
  port: number,
  verdict: string,
  hook: 'prerouting' | 'input' | 'output' = 'input',
): void {
  const end = hook === 'output' ? 'sport' : 'dport';
  lab.server.exec(
    'nft',
    ['-f', '-'],
    `
    table inet lab {
      counter hit {}
      chain ${hook} { type filter hook ${hook} priority 0; tcp ${end} ${port} counter name hit ${verdict}; }
    }`,
  );
}

/** Rejects with an ICMP error what leaves for a port, and counts it. Again: the rules are made anew. */
export const rejectOut = (port: number, verdict = 'reject') => `
  table inet lab {}
  delete table inet lab
  table inet lab {
    counter hit {}
    chain output { type filter hook output priority 0; tcp dport ${port} counter name hit ${verdict}; }
  }`;

/** How many segments met the rule. */
export function hits(lab: Lab): number {
  const counter = lab.server.exec('nft', ['list', 'counter', 'inet', 'lab', 'hit']);
  return Number(counter.match(/packets (\d+)/)?.[1]);
}
