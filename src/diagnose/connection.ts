// SPDX-License-Identifier: Apache-2.0

import type { Flow } from '../wire/types.gen.ts';

/** Both ends, each as text. */
export function ends({ saddr, sport, daddr, dport }: Flow): [string, string] {
  return [`${saddr} ${sport}`, `${daddr} ${dport}`];
}

/** The same for both directions, and for both ends on one host. */
export function connectionId(flow: Flow): string {
  return ends(flow).sort().join(' ');
}
