// SPDX-License-Identifier: Apache-2.0

import type { Session } from '../native/binding.ts';

/** Of a row of Session.totals(). */
const ROW_BYTES = 32;

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

/** Exact counts of the BPF programs, over all CPUs; all of their maps is read with `whole`. */
export function readKeyTotals(session: Session, whole: boolean): KeyTotals {
  const { rows } = session.totals(whole);
  const keys: KeyTotal[] = [];
  const kinds = new Map<number, KeyTotals['kinds'][number]>();
  let overflowed = 0;
  for (let at = 0; at < rows.length; at += ROW_BYTES) {
    const key = rows.readBigUInt64LE(at);
    const count = number(rows, at + 8);
    if (key === 0n) overflowed += count;
    else keys.push({ key, count, pending: number(rows, at + 16) });
    const kind = rows.readUInt32LE(at + 24);
    const reason = rows.readUInt32LE(at + 28);
    const both = kind * 2 ** 32 + reason;
    const known = kinds.get(both);
    if (known) known.count += count;
    else kinds.set(both, { kind, reason, count });
  }
  return { keys, kinds: [...kinds.values()], overflowed };
}

/** Sockets that found no room in the maps, as rows of the loss table. */
export function readUntracked(session: Session): Record<string, number> {
  const names = ['owners_untracked', 'peers_untracked'];
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
