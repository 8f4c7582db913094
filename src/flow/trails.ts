// SPDX-License-Identifier: Apache-2.0

import type { Ring } from '../wire/ring.ts';
import type { Words } from '../wire/words.ts';
import { AT } from '../wire/written.gen.ts';
import { type Written, writtenAt } from '../wire/written.ts';

const MAX_CONNECTIONS = 1 << 14;
const HEADS = 2 * MAX_CONNECTIONS;
const MAX_RECORDS = 1 << 15;
const NONE = -1;

const SADDR = AT.Flow.saddr;
const DADDR = AT.Flow.daddr;

/** A record that was followed, and what it was followed as. Its bytes are there until more come. */
export interface Followed<As> {
  record: Written;
  seq: number;
  count: number;
  as: As;
}

/**
 * What state each connection is in, and its records that nobody decoded yet. Connections are found by
 * the words of a Flow, either way round. Bounded: the oldest go first.
 */
export class Trails<As> {
  readonly #heads = new Int32Array(HEADS).fill(NONE);
  readonly #next: number[] = filled(MAX_CONNECTIONS, NONE);
  readonly #low: number[] = filled(MAX_CONNECTIONS, 0);
  readonly #high: number[] = filled(MAX_CONNECTIONS, 0);
  readonly #states: number[] = filled(MAX_CONNECTIONS, 0);
  readonly #times_ns = new Float64Array(MAX_CONNECTIONS);
  /** Number of the newest record that is not told yet. */
  readonly #newest: number[] = filled(MAX_CONNECTIONS, NONE);
  #connections = 0;
  /** Of the connection that was looked for last. */
  #a = 0;
  #b = 0;
  /** 64 bits of its two addresses, without ports. */
  from_low = 0;
  from_high = 0;

  readonly #ring: Ring;
  readonly #positions: number[] = [];
  readonly #seqs: number[] = [];
  readonly #counts: number[] = [];
  readonly #as: As[] = [];
  readonly #older: number[] = [];
  #records = 0;

  constructor(ring: Ring) {
    this.#ring = ring;
  }

  /** The place of the connection whose Flow is at `flow`; -1 where it is not known. */
  find(w: Words, flow: number): number {
    this.#identify(w, flow);
    const a = this.#a;
    const b = this.#b;
    let place = this.#heads[a & (HEADS - 1)] as number;
    while (place !== NONE && (this.#low[place] !== a || this.#high[place] !== b))
      place = this.#next[place] as number;
    return place;
  }

  /** A place for the connection that `find` just did not find. */
  add(): number {
    const place = this.#connections++ & (MAX_CONNECTIONS - 1);
    if (this.#connections > MAX_CONNECTIONS) this.#unlink(place);
    const head = this.#a & (HEADS - 1);
    this.#low[place] = this.#a;
    this.#high[place] = this.#b;
    this.#next[place] = this.#heads[head] as number;
    this.#heads[head] = place;
    this.#newest[place] = NONE;
    this.#states[place] = 0;
    return place;
  }

  /** What `set` said, within the last `span_ns`; else 0. */
  state(place: number, ktime_ns: number, span_ns: number): number {
    const state = this.#states[place] as number;
    return ktime_ns - (this.#times_ns[place] as number) > span_ns ? 0 : state;
  }

  set(place: number, state: number, ktime_ns: number): void {
    this.#states[place] = state;
    this.#times_ns[place] = ktime_ns;
  }

  /** Another record of that connection, in the ring. Returns its number. */
  follow(place: number, { at }: Written, seq: number, count: number, as: As): number {
    const number = this.#records++;
    const slot = number & (MAX_RECORDS - 1);
    this.#positions[slot] = this.#ring.position(at);
    this.#seqs[slot] = seq;
    this.#counts[slot] = count;
    this.#as[slot] = as;
    this.#older[slot] = this.#newest[place] as number;
    this.#newest[place] = number;
    return number;
  }

  /** The record of that number; null where others have taken its place. */
  record(number: number): Followed<As> | null {
    if (number < 0 || number < this.#records - MAX_RECORDS) return null;
    const slot = number & (MAX_RECORDS - 1);
    const at = this.#ring.at(this.#positions[slot] as number);
    const record = at < 0 ? null : writtenAt(this.#ring.words, at);
    if (!record) return null;
    return {
      record,
      seq: this.#seqs[slot] as number,
      count: this.#counts[slot] as number,
      as: this.#as[slot] as As,
    };
  }

  /** Whether it has records that were not told yet. */
  hasUntold(place: number): boolean {
    return this.#newest[place] !== NONE;
  }

  /** Its records that were not told yet, oldest first: from now on they are. */
  tell(place: number): Followed<As>[] {
    const untold: Followed<As>[] = [];
    let number = this.#newest[place] as number;
    this.#newest[place] = NONE;
    for (let record = this.record(number); record; record = this.record(number)) {
      untold.push(record);
      number = this.#older[number & (MAX_RECORDS - 1)] as number;
    }
    return untold.reverse();
  }

  #unlink(place: number): void {
    const head = (this.#low[place] as number) & (HEADS - 1);
    const after = this.#next[place] as number;
    let before = this.#heads[head] as number;
    if (before === place) {
      this.#heads[head] = after;
      return;
    }
    while (this.#next[before] !== place) before = this.#next[before] as number;
    this.#next[before] = after;
  }

  /** 64 bits: that two connections share them is not to be expected. */
  #identify(w: Words, flow: number): void {
    const sport = w[flow + AT.Flow.sport] as number;
    const dport = w[flow + AT.Flow.dport] as number;
    const s0 = w[flow + SADDR] as number;
    const s1 = w[flow + SADDR + 1] as number;
    const s2 = w[flow + SADDR + 2] as number;
    const s3 = w[flow + SADDR + 3] as number;
    const d0 = w[flow + DADDR] as number;
    const d1 = w[flow + DADDR + 1] as number;
    const d2 = w[flow + DADDR + 2] as number;
    const d3 = w[flow + DADDR + 3] as number;
    // An IPv4 address is told by its last word.
    const v4 = (s0 | s1 | d0 | d1 | (s2 ^ V4_MAPPED) | (d2 ^ V4_MAPPED)) === 0;
    const s_low = v4 ? Math.imul(s3 ^ ODD, ODD) : mixed(s0, s1, s2, s3, ODD);
    const d_low = v4 ? Math.imul(d3 ^ ODD, ODD) : mixed(d0, d1, d2, d3, ODD);
    const s_high = v4 ? Math.imul(s3, OTHER_ODD) : mixed(s0, s1, s2, s3, OTHER_ODD);
    const d_high = v4 ? Math.imul(d3, OTHER_ODD) : mixed(d0, d1, d2, d3, OTHER_ODD);
    this.from_low = (s_low ^ Math.imul(d_low, OTHER_ODD)) | 0;
    this.from_high = (s_high ^ Math.imul(d_high, ODD)) | 0;
    this.#a = (end(s_low, sport, ODD) + end(d_low, dport, ODD)) | 0;
    this.#b = (end(s_high, sport, OTHER_ODD) + end(d_high, dport, OTHER_ODD)) | 0;
  }
}

/** The word before an IPv4 address that is mapped into IPv6, as it lies in memory. */
const V4_MAPPED = 0xffff0000 | 0;
const ODD = 0x1b873593;
const OTHER_ODD = 0x2545f491;

function mixed(a: number, b: number, c: number, d: number, odd: number): number {
  let h = Math.imul(a ^ odd, odd);
  h = Math.imul(h ^ (h >>> 15) ^ b, odd);
  h = Math.imul(h ^ (h >>> 15) ^ c, odd);
  return Math.imul(h ^ (h >>> 15) ^ d, odd);
}

function end(addr: number, port: number, odd: number): number {
  const h = Math.imul(addr ^ (addr >>> 15) ^ port, odd);
  return h ^ (h >>> 13);
}

function filled(length: number, value: number): number[] {
  return new Array<number>(length).fill(value);
}
