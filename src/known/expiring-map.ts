// SPDX-License-Identifier: Apache-2.0

import { Queue } from './queue.ts';

interface Entry<Value> {
  key: string;
  value: Value;
  ktime_ns: number;
}

/** Values by key for a span of event time, newest last; the oldest go first when it is full. */
export class ExpiringMap<Value> {
  readonly #entries = new Map<string, Entry<Value>>();
  /** In the order in which they were set, with those that were set anew since. */
  #order = new Queue<Entry<Value>>();
  readonly #span_ns: number;
  readonly #max: number;

  constructor(span_ns: number, max: number) {
    this.#span_ns = span_ns;
    this.#max = max;
  }

  set(key: string, value: Value, ktime_ns: number): void {
    const entry = { key, value, ktime_ns };
    this.#entries.set(key, entry);
    this.#order.push(entry);
    this.#expire(ktime_ns);
    if (this.#order.length > 2 * this.#max) this.#forgetSetAnew();
  }

  get(key: string, ktime_ns: number): Value | undefined {
    const entry = this.#entries.get(key);
    return entry && ktime_ns - entry.ktime_ns <= this.#span_ns ? entry.value : undefined;
  }

  #expire(ktime_ns: number): void {
    for (let entry = this.#order.oldest; entry; entry = this.#order.oldest) {
      if (this.#entries.get(entry.key) === entry) {
        const expired = ktime_ns - entry.ktime_ns > this.#span_ns;
        if (!expired && this.#entries.size <= this.#max) return;
        this.#entries.delete(entry.key);
      }
      this.#order.shift();
    }
  }

  #forgetSetAnew(): void {
    const order = new Queue<Entry<Value>>();
    for (let entry = this.#order.oldest; entry; entry = this.#order.oldest) {
      if (this.#entries.get(entry.key) === entry) order.push(entry);
      this.#order.shift();
    }
    this.#order = order;
  }
}
