// SPDX-License-Identifier: Apache-2.0

import { Queue } from '../known/queue.ts';
import { MOST_WHOLE, WHOLE_NS } from './found-on-connections.ts';
import { Counted, countOnly, lastOf, type Occurrence, type OpenFinding } from './open-finding.ts';
import { type QuietKey, QuietKeys } from './quiet-keys.ts';

interface KeyCount {
  readonly key: string;
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
  /** It came when others had been forgotten, and may be one of them: only its records are counted. */
  late: boolean;
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
/** As many are in use at most, whatever a file says. */
const MOST_IN_USE = 10 * MOST_APART;

/** Of a quiet key, beside the number of what it came to. */
const THINNED = 1;
/** None of its records was explained. */
const UNEXPLAINED = 2;
/** `rest` is what the kernel counted of it, and was not given out; else what was given out, and its next record stands for. */
const UNTOLD = 4;
const FLAGS = 8;
const NOT_QUIET = { given: 0, rest: 0, where: UNEXPLAINED };

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
  /** Those of which no record was explained. */
  readonly #untold = new Queue<KeyCount>();
  readonly #quiet = new QuietKeys();
  /** What quiet keys came to, by its number: the same for all that came to the same findings. */
  readonly #went: Went[] = [];
  readonly #went_numbers = new Map<string, number>();
  readonly #finding_numbers = new WeakMap<OpenFinding, number>();
  #findings = 0;
  #quiet_untold = 0;
  #forgotten = 0;

  /** Its total when the stream began, of which `pending` go with its next record. */
  before(key: string, exact: number, pending: number): void {
    Object.assign(this.#of(key), { recorded: exact - pending, exact, given: exact });
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
    count.went = count.went.map(countOnly);
    this.#keepApart(count, count.went);
  }

  #keepApart(count: KeyCount, went: Went): void {
    this.#apart.push({ count, went });
    if (this.#apart.length <= MOST_APART) return;
    const { oldest } = this.#apart;
    this.#apart.shift();
    if (oldest && oldest.count.went === oldest.went) this.#quieten(oldest.count);
  }

  #keepUntold(count: KeyCount): void {
    this.#untold.push(count);
    if (this.#untold.length <= MOST_APART) return;
    const { oldest } = this.#untold;
    this.#untold.shift();
    if (oldest && !oldest.went) this.#quieten(oldest);
  }

  /** Only numbers are kept of it. */
  #quieten(count: KeyCount): void {
    const { key, went, recorded, exact, given, tokenless, thinned } = count;
    if (this.#keys.get(key) !== count) return;
    const untold = went === null && exact > given;
    const number = went ? this.#numberOf(went) : 0;
    const isSaid = number !== null && tokenless === 0 && !(untold && recorded !== given);
    const flags = (thinned ? THINNED : 0) + (went ? 0 : UNEXPLAINED) + (untold ? UNTOLD : 0);
    const where = (number ?? 0) * FLAGS + flags;
    const rest = untold ? exact - given : given - recorded;
    if (isSaid && this.#quiet.set(key, { given, rest, where })) {
      if (untold) this.#quiet_untold += rest;
    } else if (this.#keys.size > MOST_IN_USE) this.#forgotten++;
    else return;
    this.#keys.delete(key);
  }

  /** Null: what it came to is asked for still. */
  #numberOf(went: Went): number | null {
    let id = '';
    for (const one of went) {
      if (!(one instanceof Counted)) return null;
      id += ` ${one.finding ? this.#numberOfFinding(lastOf(one.finding)) : 0}`;
    }
    const known = this.#went_numbers.get(id);
    if (known !== undefined) return known;
    const counted = (went as readonly Counted[]).map(
      (one) => new Counted({ ...one, flow: null }, one.finding && lastOf(one.finding)),
    );
    const number = this.#went.push(counted) - 1;
    this.#went_numbers.set(id, number);
    return number;
  }

  #numberOfFinding(finding: OpenFinding): number {
    const known = this.#finding_numbers.get(finding);
    if (known !== undefined) return known;
    this.#finding_numbers.set(finding, ++this.#findings);
    return this.#findings;
  }

  #wait(count: KeyCount): void {
    if (count.waits || !count.went) return;
    count.waits = true;
    this.#whole.push({ count, ktime_ns: timeOf(count) });
  }

  /** What the last record of `key` came to; null: none was explained. */
  whereTo(key: string): Went | null {
    return this.#known(key)?.went ?? null;
  }

  /** A record that is only counted; null where none of its key was explained. */
  tokenless(key: string): More | null {
    const count = this.#known(key);
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
    if (count) return count.thinned || count.exact > count.recorded;
    const { rest, where } = this.#quiet.get(key) ?? NOT_QUIET;
    return rest > 0 || (where & THINNED) !== 0;
  }

  /** The kernel's total of `key`; null where none of its records was explained: they go with its first one. */
  total(key: string, exact: number): More | null {
    if (key === '0') return null;
    const quiet = this.#quietTotal(key, exact);
    if (quiet) return quiet;
    const known = this.#known(key);
    // What it was counted before is no longer known, if it was.
    if (!known && this.forgotten > 0) return null;
    const count = known ?? this.#of(key);
    if (count.late) return null;
    count.exact = Math.max(count.exact, exact);
    return count.went && { count: give(count), went: count.went };
  }

  /** Of a key that stays quiet all the same: a total comes of each, again and again. */
  #quietTotal(key: string, exact: number): More | null {
    if (this.#keys.has(key)) return null;
    const quiet = this.#quiet.get(key) ?? NOT_QUIET;
    const { given, rest, where } = quiet;
    if (where & UNEXPLAINED) return null;
    const count = Math.max(0, exact - given);
    if (count === 0 || this.#quiet.set(key, { given: exact, rest: rest + count, where }))
      return { count, went: this.#cameTo(where) };
    this.#wake(key, quiet);
    return null;
  }

  #cameTo(where: number): Went {
    return this.#went[Math.floor(where / FLAGS)] ?? [];
  }

  /** Occurrences of which no record was explained. */
  get untold(): number {
    let untold = this.#quiet_untold;
    for (const { went, exact, given } of this.#keys.values())
      if (!went) untold += Math.max(0, exact - given);
    return untold;
  }

  /** Keys that found no room: what was counted of them without a record is not known. */
  get forgotten(): number {
    return this.#forgotten + this.#quiet.forgotten;
  }

  #known(key: string): KeyCount | null {
    const known = this.#keys.get(key);
    if (known) return known;
    const quiet = this.#quiet.get(key);
    return quiet && this.#wake(key, quiet);
  }

  #wake(key: string, { given, rest, where }: QuietKey): KeyCount {
    const went = where & UNEXPLAINED ? null : this.#cameTo(where);
    const untold = (where & UNTOLD) !== 0;
    const count: KeyCount = {
      ...uncounted(key),
      given,
      recorded: untold ? given : given - rest,
      exact: untold ? given + rest : given,
      thinned: (where & THINNED) !== 0,
      went,
    };
    if (untold) this.#quiet_untold -= rest;
    this.#keys.set(key, count);
    if (went) this.#keepApart(count, went);
    else this.#keepUntold(count);
    return count;
  }

  #of(key: string): KeyCount {
    const known = this.#known(key);
    if (known) return known;
    const count = { ...uncounted(key), late: this.forgotten > 0 };
    this.#keys.set(key, count);
    this.#keepUntold(count);
    return count;
  }
}

function uncounted(key: string): KeyCount {
  return {
    key,
    late: false,
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
