// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../causes/define.ts';
import type { Flow } from '../wire/types.gen.ts';

/** One end of a connection, as `10.0.0.5:80`. */
export type End = string;

export function endsOf({ saddr, sport, daddr, dport }: Flow): [End, End] {
  return [endpoint(saddr, sport), endpoint(daddr, dport)];
}

/** The same for both directions. */
export function connectionOf(flow: Flow): string {
  return endsOf(flow).sort().join(' ');
}

/** Of `10.0.0.5:40000 → 10.0.0.6:80`, as findings write their flows. */
export function connectionOfText(text: string): string {
  return text.split(' → ').sort().join(' ');
}
