// SPDX-License-Identifier: Apache-2.0

import type { Flow } from '../wire/types.gen.ts';
import { perFlow } from './per-flow.ts';

/** All of one flow: which of them is asked for is asked for again and again. */
const idsOf = perFlow(({ saddr, sport, daddr, dport }) => {
  const [source, destination] = [`${saddr} ${sport}`, `${daddr} ${dport}`];
  const ends: readonly [string, string] = [source, destination];
  const there = `${source} ${destination}`;
  return { ends, there, connection: source < destination ? there : `${destination} ${source}` };
});

/** Both ends, each as text. */
export const ends = (flow: Flow) => idsOf(flow).ends;

/** Both in one, the source first: each direction has its own. */
export const sourceToDestination = (flow: Flow) => idsOf(flow).there;

/** The same for both directions, and for both ends on one host. */
export const connectionId = (flow: Flow) => idsOf(flow).connection;
