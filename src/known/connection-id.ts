// SPDX-License-Identifier: Apache-2.0

import { perFlow } from './per-flow.ts';

/** Both ends, each as text. */
export const ends = perFlow(({ saddr, sport, daddr, dport }): readonly [string, string] => [
  `${saddr} ${sport}`,
  `${daddr} ${dport}`,
]);

/** Both in one, the source first: each direction has its own. */
export const sourceToDestination = perFlow((flow) => ends(flow).join(' '));

/** The same for both directions, and for both ends on one host. */
export const connectionId = perFlow((flow) => [...ends(flow)].sort().join(' '));
