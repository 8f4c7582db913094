// SPDX-License-Identifier: Apache-2.0

export class Entry<Value> {
  readonly key: string;
  value: Value;
  ktime_ns: number;
  /** Those that were set just before and after it. */
  older: Entry<Value> | null = null;
  newer: Entry<Value> | null = null;

  constructor(key: string, value: Value, ktime_ns: number) {
    this.key = key;
    this.value = value;
    this.ktime_ns = ktime_ns;
  }
}

/** Values by key for a span of event time, newest last; the oldest go first when it is full. */
export class ExpiringMap<Value> {
  readonly #entries = new Map<string, Entry<Value>>();
  #oldest: Entry<Value> | null = null;
  #newest: Entry<Value> | null = null;
  readonly #span_ns: number;
  readonly #max: number;

  constructor(span_ns: number, max: number) {
    this.#span_ns = span_ns;
    this.#max = max;
  }

  set(key: string, value: Value, ktime_ns: number): void {
    let entry = this.#entries.get(key);
    if (entry) {
      this.#unlink(entry);
      entry.value = value;
      entry.ktime_ns = ktime_ns;
    } else {
      entry = new Entry(key, value, ktime_ns);
      this.#entries.set(key, entry);
    }
    entry.older = this.#newest;
    if (this.#newest) this.#newest.newer = entry;
    else this.#oldest = entry;
    this.#newest = entry;
    this.#expire(ktime_ns);
  }

  get(key: string, ktime_ns: number): Value | undefined {
    const entry = this.#entries.get(key);
    return entry && ktime_ns - entry.ktime_ns <= this.#span_ns ? entry.value : undefined;
  }

  #expire(ktime_ns: number): void {
    for (let entry = this.#oldest; entry; entry = this.#oldest) {
      const expired = ktime_ns - entry.ktime_ns > this.#span_ns;
      if (!expired && this.#entries.size <= this.#max) return;
      this.#entries.delete(entry.key);
      this.#unlink(entry);
    }
  }

  /** What is forgotten holds nothing else. */
  #unlink(entry: Entry<Value>): void {
    const { older, newer } = entry;
    if (older) older.newer = newer;
    else this.#oldest = newer;
    if (newer) newer.older = older;
    else this.#newest = older;
    entry.older = null;
    entry.newer = null;
  }
}
