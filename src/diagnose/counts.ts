// SPDX-License-Identifier: Apache-2.0

export interface KeyCount {
  /** Sum of what its records stood for. */
  recorded: number;
  /** What the kernel's own count was when last heard of. */
  exact: number;
  /** Given out so far. */
  given: number;
  /** A record stood for more than itself. */
  thinned: boolean;
}

/**
 * How many occurrences of each key are new. Records and the kernel's exact totals tell of the same
 * occurrences, in no fixed order: each is given out once, by whoever tells of it first.
 */
export class Counts {
  readonly #keys = new Map<string, KeyCount>();
  /** Whether any record stood for more than itself. */
  thinned = false;

  /** Counts of a key. */
  of(key: string): KeyCount {
    let count = this.#keys.get(key);
    if (!count) {
      count = { recorded: 0, exact: 0, given: 0, thinned: false };
      this.#keys.set(key, count);
    }
    return count;
  }

  /** Its total when the stream began, of which `pending` go with its next record. */
  before(key: string, exact: number, pending: number): void {
    this.#keys.set(key, { recorded: exact - pending, exact, given: exact, thinned: false });
  }

  /** A record of `key` that stands for `occurrences`. */
  record(key: string, occurrences: number): number {
    return key === '0' ? occurrences : this.add(this.of(key), occurrences);
  }

  /** The same where what `of` returned is at hand. */
  add(count: KeyCount, occurrences: number): number {
    count.recorded += occurrences;
    if (occurrences > 1) {
      count.thinned = true;
      this.thinned = true;
    }
    return give(count);
  }

  /** Whether some of its occurrences became no record of their own. */
  sampled(key: string): boolean {
    const count = this.#keys.get(key);
    return count !== undefined && (count.thinned || count.exact > count.recorded);
  }

  /** The kernel's total of `key`. */
  total(key: string, exact: number): number {
    const count = this.of(key);
    count.exact = exact;
    return give(count);
  }
}

function give(count: KeyCount): number {
  const fresh = Math.max(count.recorded, count.exact) - count.given;
  count.given += Math.max(0, fresh);
  return Math.max(0, fresh);
}
