// SPDX-License-Identifier: Apache-2.0

import type { Lab } from './lab.ts';

/** Has the server's firewall do this to SYNs to a port, and count them: `drop`, `reject with tcp reset`. */
export function rule(lab: Lab, port: number, verdict: string): void {
  lab.server.exec(
    'nft',
    ['-f', '-'],
    `
    table inet lab {
      counter hit {}
      chain input { type filter hook input priority 0; tcp dport ${port} counter name hit ${verdict}; }
    }`,
  );
}

/** How many segments met the rule. */
export function hits(lab: Lab): number {
  const counter = lab.server.exec('nft', ['list', 'counter', 'inet', 'lab', 'hit']);
  return Number(counter.match(/packets (\d+)/)?.[1]);
}
