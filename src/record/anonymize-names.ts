// SPDX-License-Identifier: Apache-2.0

/** More distinct names than this share the last one. */
const MAX_NAMES = 200_000;

/** Numbers for names, in the order of first sight: `process-1`, or `1` without a word. */
export class Names {
  readonly #word: string;
  readonly #numbers = new Map<string, number>();

  constructor(word: string) {
    this.#word = word;
  }

  of(name: string): string {
    const number = this.number(name);
    return this.#word === '' ? String(number) : `${this.#word}-${number}`;
  }

  /** From 1. */
  number(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    if (this.#numbers.size >= MAX_NAMES) return MAX_NAMES;
    const number = this.#numbers.size + 1;
    this.#numbers.set(name, number);
    return number;
  }
}
