// SPDX-License-Identifier: Apache-2.0

import { dial, growth, knock } from '../../src/lab/connections.ts';
import type { Lab } from '../../src/lab/lab.ts';
import type { Netns } from '../../src/lab/netns.ts';
import { until } from '../../src/lab/until.ts';
import type { Address, Socket } from '../../src/native/sockets.ts';

interface Overflow {
  /** Where the clients are. */
  from: Netns;
  to: Address;
  backlog: number;
  times: number;
}

/**
 * Fills the accept queue of a program that does not accept now, and has so many more SYNs refused.
 * Returns the clients that wait in the queue, which takes one more than its limit.
 */
export function overflow(lab: Lab, { from, to, backlog, times }: Overflow): Socket[] {
  const refused = growth(lab.server, 'TcpExt', 'ListenOverflows');
  const waiting = dial(lab, from, to, backlog + 1);
  until('the accept queue to be full', () => {
    const [state, length, limit] = sockets(lab.server, to, '-l')[0]?.split(/\s+/) ?? [];
    return state === 'LISTEN' && Number(length) === backlog + 1 && Number(limit) === backlog;
  });
  knock(lab, to, times, from);
  until('the SYNs to be refused', () => refused() >= times);
  return waiting;
}

/** Has the clients hang up, and waits until the program has seen the last of them. */
export function hangUpAll(lab: Lab, to: Address, clients: Socket[]): void {
  for (const client of clients) client.close();
  until('the server to see them go', () => sockets(lab.server, to).length === 0);
}

/** How many bytes each of them holds that were not read yet. */
export function unread(netns: Netns, at: Address): number[] {
  return sockets(netns, at).map((line) => Number(line.split(/\s+/)[1]));
}

/** Lines of `ss` about sockets at this end, those in TIME_WAIT left out. */
function sockets(netns: Netns, { address, port }: Address, ...which: string[]): string[] {
  const family = address.includes(':') ? '-6' : '-4';
  const table = netns.exec('ss', [family, '-tnH', ...which, `sport = :${port}`]);
  return table.split('\n').filter((line) => line !== '' && !line.startsWith('TIME-WAIT'));
}
