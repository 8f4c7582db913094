// SPDX-License-Identifier: Apache-2.0

import type { MapEntry, Session } from '../native/binding.ts';

/** struct total of bpf/include/maps.h. */
const KEY = 0;
const COUNT = 8;
const PENDING = 16;
const KIND = 44;
const REASON = 48;

/** Of one key; `pending` occurrences go with its next record. */
export interface KeyTotal<Key = bigint> {
  key: Key;
  count: number;
  pending: number;
}

export interface KeyTotals {
  keys: KeyTotal[];
  kinds: { kind: number; reason: number; count: number }[];
  /** Occurrences that found no room of their own. */
  overflowed: number;
}

/** Those of which there is more to tell than the last time: of the others, every occurrence became a record. */
export class NewTotals {
  readonly #told = new Map<bigint, number>();

  of(keys: readonly KeyTotal[]): KeyTotal[] {
    const some = keys.filter(
      ({ key, count, pending }) => pending > 0 && this.#told.get(key) !== count,
    );
    for (const { key, count } of some) this.#told.set(key, count);
    return some;
  }

  /** All is to be told again. */
  forget(): void {
    this.#told.clear();
  }
}

/** Above it reading a map whole, in batches, takes less than asking for each place. */
const MANY_PLACES = 256;

/**
 * The maps of totals. They have room for thousands of keys and mostly a handful: they are read whole
 * only when a place in them was taken or many are, else only the places in use, which are never given
 * up.
 */
export class TotalsMaps {
  readonly #session: Session;
  #begun: bigint | undefined;
  /** Keys of the places in use, where they are few. */
  readonly #places = new Map<string, Buffer>();

  constructor(session: Session) {
    this.#session = session;
  }

  /** What has a place of its own; all of both maps with `whole`. */
  read(whole: boolean): MapEntry[] {
    // First: a place that is taken while the maps are read is found the next time.
    const begun =
      this.#session.readMap('.data.totals_begun')[0]?.values[0]?.readBigUInt64LE() ?? 0n;
    const known = !whole && begun === this.#begun;
    this.#begun = begun;
    return ['totals', 'more_totals'].flatMap((name) => {
      const places = this.#places.get(name);
      if (known && places) return this.#session.readKeys(name, places);
      const entries = this.#session.readMap(name);
      if (entries.length > MANY_PLACES) this.#places.delete(name);
      else this.#places.set(name, Buffer.concat(entries.map(({ key }) => key)));
      return entries;
    });
  }
}

/** Exact counts of the BPF programs, over all CPUs. */
export function readKeyTotals(session: Session, maps: TotalsMaps, whole: boolean): KeyTotals {
  const counts = new Map<bigint, KeyTotal>();
  const kinds = new Map<number, KeyTotals['kinds'][number]>();
  const addKind = (kind: number, reason: number, count: number): void => {
    const both = kind * 2 ** 32 + reason;
    const known = kinds.get(both);
    if (known) known.count += count;
    else kinds.set(both, { kind, reason, count });
  };
  // A place of the array holds another key on each CPU.
  for (const { values } of maps.read(whole)) {
    for (const value of values) {
      const key = value.readBigUInt64LE(KEY);
      if (key === 0n) continue;
      const count = number(value, COUNT);
      const pending = number(value, PENDING);
      const known = counts.get(key);
      if (known) {
        known.count += count;
        known.pending += pending;
      } else counts.set(key, { key, count, pending });
      addKind(value.readUInt32LE(KIND), value.readUInt32LE(REASON), count);
    }
  }
  let overflowed = 0;
  for (const { key, values } of session.readMap('overflow')) {
    const count = sum(values, COUNT);
    overflowed += count;
    if (count > 0) addKind(key.readUInt32LE(), 0, count);
  }
  return { keys: [...counts.values()], kinds: [...kinds.values()], overflowed };
}

/** Sockets that found no room in the maps, as rows of the loss table. */
export function readUntracked(session: Session): Record<string, number> {
  const names = ['owners_untracked', 'peers_untracked', 'listeners_untracked'];
  const rows = session.readMap('untracked');
  return Object.fromEntries(
    rows.map(({ key, values }) => [names[key.readUInt32LE()] ?? 'untracked', sum(values, 0)]),
  );
}

function number(value: Buffer, at: number): number {
  return Number(value.readBigUInt64LE(at));
}

function sum(values: Buffer[], at: number): number {
  return values.reduce((total, value) => total + number(value, at), 0);
}
