// SPDX-License-Identifier: Apache-2.0

/**
 * At most `max` keys with a value each. Which ones stay depends on the keys alone, so two samples of
 * overlapping sets of keys overlap as well as they can, however many there were.
 */
export class Sample<Value> {
  readonly #max: number;
  #values = new Map<string, { value: Value; hash: number }>();
  #above = 2 ** 32;

  constructor(max: number) {
    this.#max = max;
  }

  /** `change` gets what is there, or undefined. */
  update(key: string, change: (value: Value | undefined) => Value): void {
    const known = this.#values.get(key);
    if (known) {
      known.value = change(known.value);
      return;
    }
    const hash = fnv1a(key);
    if (hash >= this.#above) return;
    this.#values.set(key, { value: change(undefined), hash });
    if (this.#values.size >= 2 * this.#max) this.#halve();
  }

  get(key: string): Value | undefined {
    return this.#values.get(key)?.value;
  }

  *entries(): Generator<[string, Value]> {
    for (const [key, { value }] of this.#values) yield [key, value];
  }

  #halve(): void {
    const sorted = [...this.#values].sort(([, a], [, b]) => a.hash - b.hash);
    this.#values = new Map(sorted.slice(0, this.#max));
    this.#above = sorted[this.#max]?.[1].hash ?? this.#above;
  }
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  // Its low bits are better than its high ones.
  hash ^= hash >>> 16;
  return Math.imul(hash, 0x85ebca6b) >>> 0;
}
