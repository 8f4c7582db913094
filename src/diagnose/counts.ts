// SPDX-License-Identifier: Apache-2.0

import { Queue } from '../known/queue.ts';
import { MOST_WHOLE, WHOLE_NS } from './found-before.ts';
import { Counted, countOnly, type Occurrence, type OpenFinding } from './open-finding.ts';

interface KeyCount {
  /** Sum of what its records stood for. */
  recorded: number;
  /** What the kernel's own count was when last heard of, or is by what was only counted. */
  exact: number;
  /** Given out so far. */
  given: number;
  /** Records that were only counted since the last one that was explained. */
  tokenless: number;
  /** A record stood for more than itself. */
  thinned: boolean;
  /** What the last one that was explained came to; null: none was. */
  went: Went | null;
  /** It waits for what it went to being old. */
  waits: boolean;
}

/** How many occurrences are new, and what the last record of their key came to. */
export interface More {
  count: number;
  went: Went;
}

/** What a record came to: only what counts of it, once it is old. */
type Went = readonly (Occurrence | Counted)[];

/** Of more keys than these it is kept which finding they went to, and of no connection: those that are quiet longest. */
const MOST_APART = 10_000;

/**
 * How many occurrences of each key are new. Records and the kernel's exact totals tell of the same
 * occurrences, in no fixed order: each is given out once, by whoever tells of it first.
 */
export class Counts {
  readonly #keys = new Map<string, KeyCount>();
  /** Keys of which the last record came to something, and when that was looked at. */
  readonly #whole = new Queue<{ count: KeyCount; ktime_ns: number }>();
  /** Those of which only what counts of it is kept. */
  readonly #apart = new Queue<{ count: KeyCount; went: Went }>();
  /** One for all keys that went to a finding, and were quiet longest. */
  readonly #together = new WeakMap<OpenFinding, [Counted]>();

  /** Its total when the stream began, of which `pending` go with its next record. */
  before(key: string, exact: number, pending: number): void {
    this.#keys.set(key, { ...uncounted(), recorded: exact - pending, exact, given: exact });
  }

  /** A record of `key` that is explained, and stands for `occurrences`. */
  record(key: string, occurrences: number): number {
    if (key === '0') return occurrences;
    const count = this.#of(key);
    count.recorded += occurrences;
    if (occurrences > 1) count.thinned = true;
    return give(count);
  }

  /** The last record of `key` came to that. */
  went(key: string, occurrences: readonly Occurrence[]): void {
    if (key === '0') return;
    const count = this.#of(key);
    count.went = occurrences;
    this.#wait(count);
  }

  /** Event time has come to `ktime_ns`. Keys stay as long as tcpwhy runs: little is kept for each. */
  advance(ktime_ns: number): void {
    for (let oldest = this.#whole.oldest; oldest; oldest = this.#whole.oldest) {
      const { count } = oldest;
      const full = this.#whole.length > MOST_WHOLE;
      if (!full && ktime_ns - oldest.ktime_ns <= WHOLE_NS) return;
      this.#whole.shift();
      count.waits = false;
      // Records of a storm follow each other: only the last one's is kept.
      if (!full && ktime_ns - timeOf(count) <= WHOLE_NS) this.#wait(count);
      else this.#countOnly(count);
    }
  }

  #countOnly(count: KeyCount): void {
    if (!count.went) return;
    const went = count.went.map(countOnly);
    count.went = went;
    this.#apart.push({ count, went });
    if (this.#apart.length <= MOST_APART) return;
    const { oldest } = this.#apart;
    this.#apart.shift();
    if (oldest && oldest.count.went === oldest.went)
      oldest.count.went = this.#withOthers(oldest.went);
  }

  #withOthers(went: Went): Went {
    const [only] = went;
    if (went.length > 1 || !(only instanceof Counted) || !only.finding) return went;
    const known = this.#together.get(only.finding);
    if (known) return known;
    const together: [Counted] = [new Counted({ ...only, flow: null })];
    this.#together.set(only.finding, together);
    return together;
  }

  #wait(count: KeyCount): void {
    if (count.waits || !count.went?.length) return;
    count.waits = true;
    this.#whole.push({ count, ktime_ns: timeOf(count) });
  }

  /** What the last record of `key` came to; null: none was explained. */
  whereTo(key: string): Went | null {
    return this.#keys.get(key)?.went ?? null;
  }

  /** A record that is only counted; null where none of its key was explained. */
  tokenless(key: string): More | null {
    const count = this.#keys.get(key);
    if (!count?.went) return null;
    count.tokenless++;
    count.exact = Math.max(count.exact, count.recorded + count.tokenless);
    return { count: give(count), went: count.went };
  }

  /** How many were only counted since the last record of `key`: the next one stands for them too. */
  takeTokenless(key: string): number {
    const count = this.#keys.get(key);
    if (!count?.tokenless) return 0;
    const { tokenless } = count;
    count.tokenless = 0;
    return tokenless;
  }

  /** Whether some of its occurrences were not explained one by one. */
  sampled(key: string): boolean {
    const count = this.#keys.get(key);
    return count !== undefined && (count.thinned || count.exact > count.recorded);
  }

  /** The kernel's total of `key`; null where none of its records was explained: they go with its first one. */
  total(key: string, exact: number): More | null {
    const count = this.#of(key);
    count.exact = Math.max(count.exact, exact);
    return count.went && { count: give(count), went: count.went };
  }

  /** Occurrences of which no record was explained. */
  get untold(): number {
    let untold = 0;
    for (const { went, exact, given } of this.#keys.values())
      if (!went) untold += Math.max(0, exact - given);
    return untold;
  }

  #of(key: string): KeyCount {
    let count = this.#keys.get(key);
    if (!count) {
      count = uncounted();
      this.#keys.set(key, count);
    }
    return count;
  }
}

function uncounted(): KeyCount {
  return {
    recorded: 0,
    exact: 0,
    given: 0,
    tokenless: 0,
    thinned: false,
    went: null,
    waits: false,
  };
}

function timeOf({ went }: KeyCount): number {
  const [first] = went ?? [];
  return first instanceof Counted ? first.ktime_ns : (first?.event.ktime_ns ?? 0);
}

function give(count: KeyCount): number {
  const fresh = Math.max(0, Math.max(count.recorded, count.exact) - count.given);
  count.given += fresh;
  return fresh;
}
