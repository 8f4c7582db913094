// SPDX-License-Identifier: Apache-2.0

import type { Flow } from '../wire/types.gen.ts';

const REMEMBERED = 4096;

interface Remembered<Value> {
  saddr: string;
  sport: number;
  daddr: string;
  dport: number;
  service: number;
  value: Value;
}

/**
 * The same function, which remembers what it last said of some thousand flows: most events are of a
 * connection that others were of just before. `make` has to depend on the flow alone.
 */
export function perFlow<Value>(make: (flow: Flow) => Value): (flow: Flow) => Value {
  const places: (Remembered<Value> | undefined)[] = new Array(REMEMBERED);
  return (flow) => {
    const { saddr, sport, daddr, dport, service } = flow;
    const ends =
      Math.imul(lastOf(saddr) ^ sport, 0x85ebca6b) ^ Math.imul(lastOf(daddr) ^ dport, 0xc2b2ae35);
    const place = Math.imul(ends ^ (ends >>> 15), 0x9e3779b1) >>> 20;
    const known = places[place];
    if (
      known !== undefined &&
      known.sport === sport &&
      known.dport === dport &&
      known.service === service &&
      known.saddr === saddr &&
      known.daddr === daddr
    )
      return known.value;
    const value = make(flow);
    places[place] = { saddr, sport, daddr, dport, service, value };
    return value;
  };
}

/** What differs most between addresses. */
const lastOf = (address: string) =>
  (address.charCodeAt(address.length - 1) << 16) | (address.charCodeAt(address.length - 2) << 24);
