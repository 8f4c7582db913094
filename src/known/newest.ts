// SPDX-License-Identifier: Apache-2.0

/** A map of at most so many: those that were set first go first. */
export class Newest<Key, Value> extends Map<Key, Value> {
  readonly #max: number;
  /** From the oldest on: a new one would have to pass all that were deleted before it. */
  #oldest = this.keys();

  constructor(max: number) {
    super();
    this.#max = max;
  }

  override set(key: Key, value: Value): this {
    if (this.size >= this.#max && !this.has(key)) {
      let oldest = this.#oldest.next();
      if (oldest.done) {
        this.#oldest = this.keys();
        oldest = this.#oldest.next();
      }
      if (!oldest.done) this.delete(oldest.value);
    }
    return super.set(key, value);
  }
}
