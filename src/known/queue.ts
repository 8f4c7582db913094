// SPDX-License-Identifier: Apache-2.0

/** First in, first out, however long: unlike an array, of which all that stay move up. */
export class Queue<Value> {
  #values: (Value | undefined)[] = [];
  #first = 0;

  get length(): number {
    return this.#values.length - this.#first;
  }

  get oldest(): Value | undefined {
    return this.#values[this.#first];
  }

  push(value: Value): void {
    this.#values.push(value);
  }

  /** Drops the oldest. */
  shift(): void {
    // What is gone is held by nothing here, however long its place is.
    if (this.#first < this.#values.length) this.#values[this.#first] = undefined;
    if (++this.#first < this.#values.length / 2) return;
    this.#values = this.#values.slice(this.#first);
    this.#first = 0;
  }

  *newestFirst(): Generator<Value> {
    for (let at = this.#values.length - 1; at >= this.#first; at--) yield this.#values[at] as Value;
  }
}
