// SPDX-License-Identifier: Apache-2.0

import { ends } from '../known/connection-id.ts';
import { ExpiringMap } from '../known/expiring-map.ts';
import type { Flow } from '../wire/types.gen.ts';
import type { Found } from './found.ts';
import { MOST } from './found-on-connections.ts';

/** At each end, or host, the newest that was found of each cause, the newest of all last. */
export class FoundAtPlaces {
  readonly #found: ExpiringMap<Found[]>;

  constructor(span_ns: number) {
    this.#found = new ExpiringMap(span_ns, MOST);
  }

  /** In place of the one of the same cause. */
  add(place: string, found: Found): void {
    const there = this.#found.get(place, found.ktime_ns);
    const others = there?.filter(({ common }) => common.cause !== found.common.cause);
    // An array that was pushed to has room for 16 more.
    this.#found.set(place, others ? [...others, found] : [found], found.ktime_ns);
  }

  newest(place: string, ktime_ns: number, isMeant: (one: Found) => boolean): Found | null {
    return this.#found.get(place, ktime_ns)?.findLast(isMeant) ?? null;
  }

  /** At either of the flow's ends. */
  newestAtEnds(
    flow: Flow,
    ktime_ns: number,
    isMeant: (one: Found, end: string) => boolean,
  ): Found | null {
    for (const end of ends(flow)) {
      const newest = this.newest(end, ktime_ns, (one) => isMeant(one, end));
      if (newest) return newest;
    }
    return null;
  }
}
