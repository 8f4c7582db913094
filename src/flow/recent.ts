// SPDX-License-Identifier: Apache-2.0

/** Entries that may be past their span, and are there no more for who asks. */
const LOOK_EVERY = 256;

/** Values by key for a span of event time, newest last; the oldest go first when it is full. */
export class Recent<Value> {
  readonly #entries = new Map<string, { ktime_ns: number; value: Value }>();
  readonly #span_ns: number;
  readonly #max: number;
  #since_look = 0;
  /** Entries that had to go before their time. */
  evicted = 0;

  constructor(span_ns: number, max: number) {
    this.#span_ns = span_ns;
    this.#max = max;
  }

  set(key: string, value: Value, ktime_ns: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { ktime_ns, value });
    // Where a Map begins is found only by going over all that was deleted there.
    if (this.#entries.size <= this.#max && ++this.#since_look < LOOK_EVERY) return;
    this.#since_look = 0;
    for (const [oldest, entry] of this.#entries) {
      const expired = ktime_ns - entry.ktime_ns > this.#span_ns;
      if (!expired && this.#entries.size <= this.#max) break;
      if (!expired) this.evicted++;
      this.#entries.delete(oldest);
    }
  }

  get(key: string, ktime_ns: number): Value | undefined {
    const entry = this.#entries.get(key);
    return entry && ktime_ns - entry.ktime_ns <= this.#span_ns ? entry.value : undefined;
  }
}
