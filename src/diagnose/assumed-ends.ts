// SPDX-License-Identifier: Apache-2.0

import type { Occurrence } from './open-finding.ts';

/** A failure at one end may be several at the other: a reset for each segment that was under way. */
const MOST_OF_ONE = 2;
/** Of causes that say more; who sends what they like may have many. */
const MOST_KEYS = 10_000;

interface Assumed {
  /** What was counted of the cause that says more, when that was looked at. */
  total: number;
  grown: number;
  /** How many more may be its other end. */
  room: number;
  /** By key: the newest that is taken for its other end, and how many are. */
  said: Map<string, { newest: Occurrence; count: number }>;
}

/**
 * What was taken for the other end of a failure without having been seen to be of its connection, because records
 * are sampled. There are no more of these than the failure happened: what is beyond has another reason, as a flood
 * at the same service.
 */
export class AssumedEnds {
  readonly #total: (key: string) => number;
  readonly #by_key = new Map<string, Assumed>();

  constructor(total: (key: string) => number) {
    this.#total = total;
  }

  /** `count` of these are told of by `said.by`. */
  add(said: Occurrence, count: number): void {
    const key = said.by?.event.key ?? '0';
    if (key === '0' || count <= 0) return;
    const assumed = this.#by_key.get(key) ?? { total: 0, grown: 0, room: 0, said: new Map() };
    this.#by_key.set(key, assumed);
    const known = assumed.said.get(said.event.key);
    assumed.said.set(said.event.key, { newest: said, count: count + (known?.count ?? 0) });
    const [oldest] = this.#by_key.keys();
    if (this.#by_key.size > MOST_KEYS && oldest !== undefined) this.#by_key.delete(oldest);
  }

  /** Totals are known: those that cannot be the other end of what they were taken for, and how many. */
  takeBeyond(): [Occurrence, number][] {
    const beyond: [Occurrence, number][] = [];
    for (const [key, assumed] of this.#by_key) {
      const total = this.#total(key);
      const grown = MOST_OF_ONE * (total - assumed.total);
      let room = assumed.room + grown;
      for (const { newest, count } of assumed.said.values()) {
        if (count > room) beyond.push([newest, count - room]);
        room = Math.max(0, room - count);
      }
      // The other end may come with the next totals, and not long after.
      assumed.room = Math.min(room, Math.max(grown, assumed.grown));
      assumed.grown = grown;
      assumed.total = total;
      assumed.said.clear();
    }
    return beyond;
  }
}
