// SPDX-License-Identifier: Apache-2.0

import { ends } from '../known/connection-id.ts';
import type { Event } from '../wire/event.ts';
import type { Found } from './found.ts';
import { FoundAtPlaces } from './found-at-places.ts';
import {
  beganOf,
  type FoundOnConnections,
  isBetween,
  MOST_OF_ONE,
  SPAN_NS,
} from './found-on-connections.ts';
import type { Occurrence } from './open-finding.ts';
import type { Precedence } from './precedence.ts';
import { areOpposite } from './resets.ts';
import { UNEXPLAINED } from './unexplained.ts';

/** What a failure came of, however much earlier that was. */
export class CameOf {
  readonly #connections: FoundOnConnections;
  readonly #precedence: Precedence;
  readonly #sampled: (key: string) => boolean;
  /** Of those that lead to others. */
  readonly #at_ends = new FoundAtPlaces(SPAN_NS);

  constructor(
    connections: FoundOnConnections,
    precedence: Precedence,
    sampled: (key: string) => boolean,
  ) {
    this.#connections = connections;
    this.#precedence = precedence;
    this.#sampled = sampled;
  }

  add({ cause, match }: Occurrence, found: Found): void {
    if (cause.leadsTo) for (const end of ends(match.flow)) this.#at_ends.add(end, found);
  }

  /**
   * What this came of, where that was found since it began. Where what led to it was sampled, its
   * occurrence for this very connection may be missing: then the same service stands for it. A reset
   * leads to what the other end is sent of this connection, and of no other.
   */
  because(occurrence: Occurrence): Found | null {
    const { cause, event, match, reset } = occurrence;
    const leading = this.#precedence.leading(cause.id);
    if (leading.size === 0) return null;
    const since = this.#connections.sinceItBegan(occurrence);
    const leads = ({ common }: Found) => leading.has(common.cause.id);
    return (
      since.findLast(
        (one) =>
          leads(one) &&
          isWhy(one, since, event) &&
          (!one.common.reset.came_from || areOpposite(one.common.reset, reset)),
      ) ??
      this.#at_ends.newestAtEnds(
        match.flow,
        event.ktime_ns,
        (one) =>
          leads(one) &&
          one.common.severity !== 'info' &&
          isBetween(one, beganOf(occurrence), event.ktime_ns) &&
          !one.common.reset.came_from &&
          this.#sampled(one.common.key),
      )
    );
  }

  /** Drops that no cause explains of a connection that failed without a word, since that began. */
  unexplained(occurrence: Occurrence): readonly Found[] {
    if (this.#precedence.leading(occurrence.cause.id).size === 0) return [];
    return this.#connections.sinceItBegan(occurrence).filter(({ last }) => last === UNEXPLAINED);
  }
}

/**
 * Whether a connection failed of this. What is only information where connections live, as a queue that
 * drops some of what is sent, is why only where it dropped all that was sent again.
 */
function isWhy({ common }: Found, found: readonly Found[], event: Event): boolean {
  const { cause, severity } = common;
  if (severity !== 'info' || event.kind !== 'state_change') return true;
  const dropped = found
    .filter((one) => one.common.cause === cause)
    .reduce((sum, { count }) => sum + count, 0);
  return dropped >= Math.min(event.body.sock.retransmits, MOST_OF_ONE - 1);
}
