// SPDX-License-Identifier: Apache-2.0

import { Queue } from '../known/queue.ts';
import { FINAL_NS } from './engine.ts';

/** So many wait at most: 10 to 15 MiB of them. */
const MAX_WAITING = 5000;

/**
 * Holds what was made of events until their causes are final, in order. Where more than MAX_WAITING
 * wait, the oldest go with the causes that they have by then.
 */
export class UntilFinal<Value> {
  readonly #waiting = new Queue<{ value: Value; ktime_ns: number }>();
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
    for (let oldest = this.#waiting.oldest; oldest; oldest = this.#waiting.oldest) {
      const full = this.#waiting.length > MAX_WAITING;
      if (oldest.ktime_ns >= until_ktime_ns && !full) return;
      this.#waiting.shift();
      this.#take(oldest.value);
    }
  }
}
