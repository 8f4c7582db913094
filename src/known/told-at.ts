// SPDX-License-Identifier: Apache-2.0

import { Newest } from './newest.ts';

/** Of each key so many are kept. */
const MOST_OF_KEY = 4;
/** Records of one tick are read one CPU after the other: what the first asked for holds for all of them. */
const TICK_NS = 2e8;

/** What the host told of something, and when: of an earlier event what was so then. */
export class ToldAt<Key, Value> {
  readonly #told: Newest<Key, { ktime_ns: number; value: Value }[]>;

  constructor(max: number) {
    this.#told = new Newest(max);
  }

  set(key: Key, value: Value, ktime_ns: number): void {
    const known = this.#told.get(key);
    if (known) {
      known.push({ ktime_ns, value });
      if (known.length > MOST_OF_KEY) known.shift();
      return;
    }
    this.#told.set(key, [{ ktime_ns, value }]);
  }

  at(key: Key, ktime_ns: number): Value | undefined {
    const known = this.#told.get(key) ?? [];
    const before = known.findLast((one) => one.ktime_ns <= ktime_ns);
    if (before) return before.value;
    const [first] = known;
    return first && first.ktime_ns - ktime_ns <= TICK_NS ? first.value : undefined;
  }
}
