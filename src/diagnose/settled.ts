// SPDX-License-Identifier: Apache-2.0

import { FINAL_NS } from './engine.ts';

/** So many wait at most: about 20 MiB of them. */
const MAX_WAITING = 20_000;

/**
 * Holds what was made of events until their causes are final, in order. Where more than MAX_WAITING
 * wait, the oldest go with the causes that they have by then.
 */
export class Settled<Value> {
  #waiting: { value: Value; ktime_ns: number }[] = [];
  #first = 0;
  readonly #take: (value: Value) => void;

  constructor(take: (value: Value) => void) {
    this.#take = take;
  }

  push(value: Value, ktime_ns: number): void {
    this.#waiting.push({ value, ktime_ns });
    this.#release(ktime_ns - FINAL_NS);
  }

  /** No more events. */
  finish(): void {
    this.#release(Number.POSITIVE_INFINITY);
  }

  #release(until_ktime_ns: number): void {
    for (;;) {
      const oldest = this.#waiting[this.#first];
      if (!oldest) break;
      const full = this.#waiting.length - this.#first > MAX_WAITING;
      if (oldest.ktime_ns >= until_ktime_ns && !full) break;
      this.#first++;
      this.#take(oldest.value);
    }
    if (this.#first < this.#waiting.length / 2) return;
    this.#waiting = this.#waiting.slice(this.#first);
    this.#first = 0;
  }
}
