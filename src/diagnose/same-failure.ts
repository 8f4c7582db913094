// SPDX-License-Identifier: Apache-2.0

import type { Cause } from '../causes/define.ts';
import { ends } from '../known/connection-id.ts';
import { sharedBy } from '../wire/key.ts';
import type { Flow } from '../wire/types.gen.ts';
import type { Common, Found } from './found.ts';
import { FoundAtPlaces } from './found-at-places.ts';
import { type FoundOnConnections, WHOLE_NS } from './found-on-connections.ts';
import type { Occurrence } from './open-finding.ts';
import type { Precedence } from './precedence.ts';
import { areOpposite } from './resets.ts';

/** How far apart the two ends of one failure may be seen. */
export const SAME_FAILURE_NS = 2e9;
const ANY_HOST = '*';

/** What says more of a failure, and whether that was seen to be of the same connection. */
export interface Stronger {
  by: Occurrence;
  exactly: boolean;
}

/** One failure that both ends tell of: which of the causes that were found says more of it. */
export class SameFailure {
  readonly #connections: FoundOnConnections;
  readonly #precedence: Precedence;
  readonly #sampled: (key: string) => boolean;
  /** Of those that say more than others do. */
  readonly #at_ends = new FoundAtPlaces(WHOLE_NS);
  /** The same by host, and for ANY_HOST, of what was counted for all ports of it. */
  readonly #at_hosts = new FoundAtPlaces(WHOLE_NS);

  constructor(
    connections: FoundOnConnections,
    precedence: Precedence,
    sampled: (key: string) => boolean,
  ) {
    this.#connections = connections;
    this.#precedence = precedence;
    this.#sampled = sampled;
  }

  add({ cause, match, event }: Occurrence, found: Found): void {
    if (cause.supersedes) for (const end of ends(match.flow)) this.#at_ends.add(end, found);
    if (!cause.supersedes && !cause.leadsTo) return;
    switch (sharedBy(event.key)) {
      case 'host':
        for (const host of hosts(match.flow)) this.#at_hosts.add(host, found);
        break;
      case 'cause':
        this.#at_hosts.add(ANY_HOST, found);
    }
  }

  /** Whether another cause of the same failure may say more. */
  maySayLess({ id }: Cause): boolean {
    return this.#precedence.stronger(id).size > 0;
  }

  /** What may be of the same failure: found on the connection, each at most SAME_FAILURE_NS before the next. */
  of(flow: Flow, ktime_ns: number): Occurrence[] {
    const found = this.#connections.of(flow, ktime_ns);
    const same: Occurrence[] = [];
    let next_ns = ktime_ns;
    for (let at = found.length - 1; at >= 0; at--) {
      const { ktime_ns, whole } = found[at] as Found;
      if (next_ns - ktime_ns > SAME_FAILURE_NS) break;
      next_ns = ktime_ns;
      if (whole && !whole.by) same.unshift(whole);
    }
    return same;
  }

  /**
   * What `occurrence` stands for, of those and of what was found since it began and goes on: a reset is none
   * that came from the other end. `ofOtherEnd`: of this very reset, where it came to.
   */
  weaker(
    occurrence: Occurrence,
    ofFailure: readonly Occurrence[],
    ofOtherEnd: readonly Occurrence[],
  ): Occurrence[] {
    const { cause, reset } = occurrence;
    const weaker = this.#precedence.weaker(cause.id);
    if (weaker.size === 0) return [];
    const since = this.#connections.sinceItBegan(occurrence);
    if (since.length + ofFailure.length + ofOtherEnd.length === 0) return [];
    const ongoing = since.flatMap(({ whole }) =>
      whole?.match.goes_on &&
      cause.supersedes?.includes(whole.cause.id) &&
      !whole.by &&
      !ofFailure.includes(whole)
        ? [whole]
        : [],
    );
    const ofThese = [...ofFailure, ...ongoing].filter((other) => !areOpposite(other.reset, reset));
    return [...ofThese, ...ofOtherEnd].filter(
      (other) => weaker.has(other.cause.id) && !areOfTwoEnds(other, occurrence),
    );
  }

  /**
   * A cause of the same failure that says more. Records of the two ends are sampled each on its own:
   * where some are missing, the same service at the same time stands for the same connection.
   */
  stronger(
    occurrence: Occurrence,
    ofFailure: readonly Occurrence[],
    ofOtherEnd: readonly Occurrence[],
  ): Stronger | null {
    const { cause, event, reset } = occurrence;
    const stronger = this.#precedence.stronger(cause.id);
    if (stronger.size === 0) return null;
    const exact = ofFailure.find(
      (other) =>
        stronger.has(other.cause.id) &&
        !areOpposite(other.reset, reset) &&
        !areOfTwoEnds(other, occurrence),
    );
    const exactly = exact ?? ofOtherEnd.find(({ cause: other }) => stronger.has(other.id));
    if (exactly) return { by: exactly, exactly: true };
    const near = this.#atEnds(occurrence, ({ key }) => event.occurrences > 1 || this.#sampled(key));
    const by = (near ?? this.#atHosts(occurrence))?.whole;
    return by ? { by, exactly: false } : null;
  }

  /** Whether a cause that says more may stand for it, once it is known that not all of its occurrences became records. */
  mayBeSampled(occurrence: Occurrence): boolean {
    if (!this.maySayLess(occurrence.cause)) return false;
    return this.#atEnds(occurrence, ({ key }) => !this.#sampled(key)) !== null;
  }

  /** The newest at the same service that says more, and may be of the same failure. */
  #atEnds(
    { cause, event, match, reset }: Occurrence,
    isMeant: (one: Common) => boolean,
  ): Found | null {
    const stronger = this.#precedence.stronger(cause.id);
    const since_ns = event.ktime_ns - SAME_FAILURE_NS;
    return this.#at_ends.newestAtEnds(
      match.flow,
      event.ktime_ns,
      ({ common, ktime_ns }, end) =>
        stronger.has(common.cause.id) &&
        ktime_ns >= since_ns &&
        !areOpposite(common.reset, reset, (at) => at === end) &&
        isMeant(common),
    );
  }

  /** The same where what says more was counted for its whole host, or for all: at any port of that host, or of any. */
  #atHosts({ cause, event, match, reset }: Occurrence): Found | null {
    const stronger = this.#precedence.stronger(cause.id);
    const since_ns = event.ktime_ns - SAME_FAILURE_NS;
    const isMeant = ({ common, ktime_ns }: Found) =>
      stronger.has(common.cause.id) && ktime_ns >= since_ns;
    for (const host of hosts(match.flow)) {
      const newest = this.#at_hosts.newest(
        host,
        event.ktime_ns,
        (one) =>
          isMeant(one) && !areOpposite(one.common.reset, reset, (at) => at.startsWith(`${host} `)),
      );
      if (newest) return newest;
    }
    return this.#at_hosts.newest(ANY_HOST, event.ktime_ns, isMeant);
  }
}

const hosts = ({ saddr, daddr }: Flow): string[] => [saddr, daddr];

/** Each end keeps its own window shut. */
function areOfTwoEnds({ match: one }: Occurrence, { match: other }: Occurrence): boolean {
  return one.shut_by !== undefined && other.shut_by !== undefined && one.shut_by !== other.shut_by;
}
