// SPDX-License-Identifier: Apache-2.0

import { perFlow } from '../known/per-flow.ts';
import { endpoint } from '../tcp/endpoint.ts';

/** One end of a connection, as `10.0.0.5:80`. */
export type End = string;

export const endsOf = perFlow(({ saddr, sport, daddr, dport }): readonly [End, End] => [
  endpoint(saddr, sport),
  endpoint(daddr, dport),
]);

/** The same for both directions. */
export const connectionOf = perFlow((flow) => [...endsOf(flow)].sort().join(' '));

/** Of `10.0.0.5:40000 → 10.0.0.6:80`, as findings write their flows. */
export function connectionOfText(text: string): string {
  return text.split(' → ').sort().join(' ');
}
