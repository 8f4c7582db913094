// SPDX-License-Identifier: Apache-2.0

import type { OpenFinding } from '../diagnose/open-finding.ts';
import { perFlow } from '../known/per-flow.ts';
import { isLoopback } from '../tcp/address.ts';
import { endpoint } from '../tcp/endpoint.ts';
import type { Flow } from '../wire/types.gen.ts';

/** One end of a connection, as `10.0.0.5:80`. */
export type End = string;

export const endsOf = perFlow(({ saddr, sport, daddr, dport }): readonly [End, End] => [
  endpoint(saddr, sport),
  endpoint(daddr, dport),
]);

/** The same for both directions. */
export const connectionOf = perFlow((flow) => [...endsOf(flow)].sort().join(' '));

/** By a connection the first sequence numbers of whoever opened it, of one host. */
export type FirstNumbers = ReadonlyMap<string, ReadonlySet<string>>;

/** Connections that a finding is known by, of those that it kept. */
const MOST_CONNECTIONS = 20;

/** Both ends in their order; none where no other host sees that one too: a listener's own flow has no other end. */
function keyOf(flow: Flow): string[] {
  const { saddr, daddr, dport } = flow;
  const alone = dport === 0 || isLoopback(saddr) || isLoopback(daddr);
  return alone ? [] : [connectionOf(flow)];
}

/**
 * What the connections of a finding are known by at both of their ends, so that findings of several hosts are
 * about the same one where they have one of these in common: both ends in their order, `10.0.0.1:80
 * 10.0.0.2:40000`, and where a translation may have changed these a first sequence number, `isn 853654705`,
 * which it leaves. No key is made of both: one host may know the number and the other not. The newest first.
 */
export function connectionKeys(
  { flows, connections, sides }: Pick<OpenFinding, 'flows' | 'connections' | 'sides'>,
  numbers: FirstNumbers,
): string[] {
  const before = [...flows.values()].slice(-MOST_CONNECTIONS).reverse();
  const isns = [
    ...connections.flatMap((flow) => [...(numbers.get(connectionOf(flow)) ?? [])]),
    ...[sides?.local, sides?.peer, sides?.source].flatMap((end) => end?.isn ?? []),
  ];
  return [
    ...new Set([
      ...connections.flatMap(keyOf),
      ...isns.map((isn) => `isn ${isn}`),
      ...before.flatMap(({ flow }) => keyOf(flow)),
    ]),
  ];
}
