// SPDX-License-Identifier: Apache-2.0

import { u64, type Words } from '../wire/words.ts';
import { AT } from '../wire/written.gen.ts';
import type { KeyTotal } from './totals.ts';

interface PartCount {
  key: string;
  /** What all records of the key that were told stood for. */
  recorded: number;
  /** What whoever reads all files has counted by the end of the last one. */
  given: number;
  /** This file has a record of it: occurrences that became none can be counted where that was. */
  here: boolean;
}

/**
 * What files that go on from each other tell of each key. When the kernel's totals are read there may
 * be records that they count and that are not told yet: whether those are counted in one file or in the
 * next can only be known by counting what is told.
 */
export class PartCounts {
  readonly #keys = new Map<string, PartCount>();
  /** Of the last record: in a storm mostly that of the next one too. */
  #low = 0;
  #high = 0;
  #last: PartCount | null = null;

  /** The record at `at` is told. */
  add(w: Words, at: number): void {
    const low = w[at + AT.Event.key] as number;
    const high = w[at + AT.Event.key + 1] as number;
    if (low === 0 && high === 0) return;
    if (!this.#last || low !== this.#low || high !== this.#high) {
      this.#last = this.#of(u64(w, at + AT.Event.key));
      this.#low = low;
      this.#high = high;
    }
    this.#last.recorded += Math.max(1, w[at + AT.Event.occurrences] as number);
    this.#last.here = true;
  }

  /** The kernel's totals at the end of a file, read when its records were told: what it has to tell of them. */
  end(keys: readonly KeyTotal[]): KeyTotal[] {
    return keys.filter(({ key, count }) => {
      const known = this.#keys.get(String(key));
      if (!known || count <= known.recorded) return false;
      if (known.here) known.given = count;
      return true;
    });
  }

  /** What another file goes on from. */
  before(): KeyTotal<string>[] {
    return [...this.#keys.values()].map((one) => {
      one.here = false;
      one.given = Math.max(one.given, one.recorded);
      const { key, recorded, given } = one;
      return { key, count: given, pending: given - recorded };
    });
  }

  #of(key: string): PartCount {
    let known = this.#keys.get(key);
    if (!known) {
      known = { key, recorded: 0, given: 0, here: false };
      this.#keys.set(key, known);
    }
    return known;
  }
}
