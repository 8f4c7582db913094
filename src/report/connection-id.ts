// SPDX-License-Identifier: Apache-2.0

import type { OpenFinding } from '../diagnose/open-finding.ts';
import { connectionOf, connectionOfText } from './connection.ts';
import { MOST_ALIKE, type Segments } from './segments.ts';

/** By a connection the first sequence numbers of whoever opened it, of one host. */
export type FirstNumbers = ReadonlyMap<string, ReadonlySet<string>>;

/** Not of numbers that somebody chose for more connections than a translation makes of one. */
export function firstNumbers({ handshakes }: Pick<Segments, 'handshakes'>): FirstNumbers {
  const numbers = new Map<string, Set<string>>();
  for (const [isn, connections] of handshakes.entries()) {
    if (connections.size > MOST_ALIKE) continue;
    for (const connection of connections) {
      const known = numbers.get(connection);
      if (known) known.add(isn);
      else numbers.set(connection, new Set([isn]));
    }
  }
  return numbers;
}

/**
 * What the connections of a finding are known by at both of their ends, so that findings of several hosts are
 * about the same one where they have one of these in common: both ends in their order, `10.0.0.1:80
 * 10.0.0.2:40000`, and where a translation may have changed these the first sequence number of whoever opened it,
 * `isn 853654705`, which it leaves. No key is made of both: one host may know the number and the other not.
 */
export function connectionKeys(
  { flows, connections }: Pick<OpenFinding, 'flows' | 'connections'>,
  numbers: FirstNumbers,
): string[] {
  // A listener's own flow has no other end.
  const newest = connections.filter(({ dport }) => dport !== 0).map(connectionOf);
  return [
    ...new Set([
      ...newest,
      ...[...flows.keys()].map(connectionOfText),
      ...newest.flatMap((connection) =>
        [...(numbers.get(connection) ?? [])].map((isn) => `isn ${isn}`),
      ),
    ]),
  ];
}
