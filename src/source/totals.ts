// SPDX-License-Identifier: Apache-2.0

import type { Session } from '../native/binding.ts';

/** struct total of bpf/include/maps.h. */
const KEY = 0;
const COUNT = 8;
const PENDING = 16;
const KIND = 44;
const REASON = 48;

export interface KeyTotals {
  /** `pending` occurrences go with the key's next record. */
  keys: { key: string; count: number; pending: number }[];
  kinds: { kind: number; reason: number; count: number }[];
  /** Occurrences that found no room of their own. */
  overflowed: number;
}

/** Exact counts of the BPF programs, over all CPUs. */
export function readKeyTotals(session: Session): KeyTotals {
  const counts = new Map<bigint, { count: number; pending: number }>();
  const kinds = new Map<string, KeyTotals['kinds'][number]>();
  const addKind = (kind: number, reason: number, count: number): void => {
    const known = kinds.get(`${kind}/${reason}`);
    if (known) known.count += count;
    else kinds.set(`${kind}/${reason}`, { kind, reason, count });
  };
  // A place of the array holds another key on each CPU.
  for (const map of ['totals', 'more_totals']) {
    for (const { values } of session.readMap(map)) {
      for (const value of values) {
        const key = value.readBigUInt64LE(KEY);
        if (key === 0n) continue;
        const known = counts.get(key) ?? { count: 0, pending: 0 };
        known.count += number(value, COUNT);
        known.pending += number(value, PENDING);
        counts.set(key, known);
        addKind(value.readUInt32LE(KIND), value.readUInt32LE(REASON), number(value, COUNT));
      }
    }
  }
  let overflowed = 0;
  for (const { key, values } of session.readMap('overflow')) {
    const count = sum(values, COUNT);
    overflowed += count;
    if (count > 0) addKind(key.readUInt32LE(), 0, count);
  }
  const keys = [...counts].map(([key, count]) => ({ key: String(key), ...count }));
  return { keys, kinds: [...kinds.values()], overflowed };
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
