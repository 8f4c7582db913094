// SPDX-License-Identifier: Apache-2.0

import type { Session } from '../native/binding.ts';

/** struct total of bpf/include/maps.h. */
const COUNT = 0;
const PENDING = 8;
const KIND = 24;
const REASON = 28;

export interface KeyTotals {
  keys: { key: string; count: number }[];
  kinds: { kind: number; reason: number; count: number }[];
  /** Occurrences that found no room of their own. */
  overflowed: number;
}

/** Exact counts of the BPF programs, over all CPUs. Keys whose every occurrence became a record are left out. */
export function readKeyTotals(session: Session): KeyTotals {
  const keys: KeyTotals['keys'] = [];
  const kinds = new Map<string, KeyTotals['kinds'][number]>();
  const addKind = (kind: number, reason: number, count: number): void => {
    const known = kinds.get(`${kind}/${reason}`);
    if (known) known.count += count;
    else if (count > 0) kinds.set(`${kind}/${reason}`, { kind, reason, count });
  };
  for (const { key, values } of session.readMap('totals')) {
    const count = sum(values, COUNT);
    const one = values.find((value) => value.readUInt32LE(KIND) !== 0);
    addKind(one?.readUInt32LE(KIND) ?? 0, one?.readUInt32LE(REASON) ?? 0, count);
    if (sum(values, PENDING) > 0) keys.push({ key: String(key.readBigUInt64LE()), count });
  }
  let overflowed = 0;
  for (const { key, values } of session.readMap('overflow')) {
    const count = sum(values, COUNT);
    overflowed += count;
    addKind(key.readUInt32LE(), 0, count);
  }
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

function sum(values: Buffer[], at: number): number {
  return values.reduce((total, value) => total + Number(value.readBigUInt64LE(at)), 0);
}
