// SPDX-License-Identifier: Apache-2.0

import type { Occurrence } from './open-finding.ts';

/** A failure at one end may be several at the other: a reset for each segment that was under way. */
const MOST_OF_ONE = 2;

interface Assumed {
  /** How often the cause that says more was found since that was looked at. */
  fresh: number;
  grown: number;
  /** How many more may be its other end. */
  room: number;
  /** By key: the newest that is taken for its other end, and how many are. */
  said: Map<string, { newest: Occurrence; count: number }>;
}

/**
 * What was taken for the other end of a failure without having been seen to be of its connection, because records
 * are sampled. There are no more of these than the failure happened, wherever: keys of the two ends differ. What is
 * beyond has another reason, as a flood at the same time.
 */
export class AssumedEnds {
  readonly #by_cause = new Map<string, Assumed>();

  /** So many more of a cause were found. */
  found(cause: string, count: number): void {
    this.#of(cause).fresh += count;
  }

  /** `count` of these are told of by `said.by`. */
  add(said: Occurrence, count: number): void {
    if (!said.by || said.event.key === '0' || count <= 0) return;
    const assumed = this.#of(said.by.cause.id);
    const known = assumed.said.get(said.event.key);
    assumed.said.set(said.event.key, { newest: said, count: count + (known?.count ?? 0) });
  }

  /** Totals are known: those that cannot be the other end of what they were taken for, and how many. */
  takeBeyond(): [Occurrence, number][] {
    const beyond: [Occurrence, number][] = [];
    for (const assumed of this.#by_cause.values()) {
      const grown = MOST_OF_ONE * assumed.fresh;
      let room = assumed.room + grown;
      for (const { newest, count } of assumed.said.values()) {
        if (count > room) beyond.push([newest, count - room]);
        room = Math.max(0, room - count);
      }
      // The other end may come with the next totals, and not long after.
      assumed.room = Math.min(room, Math.max(grown, assumed.grown));
      assumed.grown = grown;
      assumed.fresh = 0;
      assumed.said.clear();
    }
    return beyond;
  }

  #of(cause: string): Assumed {
    const known = this.#by_cause.get(cause);
    if (known) return known;
    const none: Assumed = { fresh: 0, grown: 0, room: 0, said: new Map() };
    this.#by_cause.set(cause, none);
    return none;
  }
}
