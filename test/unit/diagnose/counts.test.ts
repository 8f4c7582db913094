// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { Counts } from '../../../src/diagnose/counts.ts';
import type { Occurrence, OpenFinding } from '../../../src/diagnose/open-finding.ts';
import { random, shuffled } from './random.ts';

/** What the kernel's total gives out where a record of the key was explained. */
function total(counts: Counts, key: string, exact: number): number {
  counts.went(key, []);
  return counts.total(key, exact)?.count ?? 0;
}

const tokenless = (counts: Counts, key: string) => counts.tokenless(key)?.count ?? null;

test('gives out each occurrence once, whoever tells of it first', () => {
  const counts = new Counts();
  expect(counts.record('7', 1)).toBe(1);
  expect(total(counts, '7', 10)).toBe(9);
  // Nine of these are known from the total.
  expect(counts.record('7', 9)).toBe(0);
  expect(counts.record('7', 5)).toBe(5);
  expect(total(counts, '7', 15)).toBe(0);
});

test('keeps keys apart', () => {
  const counts = new Counts();
  expect(total(counts, '1', 3)).toBe(3);
  expect(counts.record('2', 3)).toBe(3);
});

test('does not count what has no key', () => {
  const counts = new Counts();
  expect(total(counts, '0', 1000)).toBe(0);
  expect(tokenless(counts, '0')).toBeNull();
  expect(counts.record('0', 4)).toBe(4);
  expect(counts.record('0', 4)).toBe(4);
});

test('takes an old total for what it is', () => {
  const counts = new Counts();
  expect(total(counts, '7', 10)).toBe(10);
  expect(total(counts, '7', 8)).toBe(0);
  expect(counts.record('7', 11)).toBe(1);
});

test.each(Array.from({ length: 200 }, (_, seed) => seed))('is exact in any order (%i)', (seed) => {
  const next = random(seed);
  let exact = 0;
  const tellings: ((counts: Counts) => number)[] = [];
  for (let i = 0; i < 30; i++) {
    const occurrences = 1 + Math.floor(next() * 5);
    exact += occurrences;
    const so_far = exact;
    tellings.push((counts) => counts.record('7', occurrences));
    if (next() < 0.3) tellings.push((counts) => total(counts, '7', so_far));
  }
  const counts = new Counts();
  const given = shuffled(tellings, next).map((tell) => tell(counts));
  expect(given.every((count) => count >= 0)).toBe(true);
  expect(given.reduce((sum, count) => sum + count, 0)).toBe(exact);
});

test('what belongs to an earlier file is not given out, what its records stand for here is', () => {
  const counts = new Counts();
  counts.before('7', 100, 4);
  expect(total(counts, '7', 103)).toBe(3);
  // Four of these were counted in the earlier file, three are known from the total.
  expect(counts.record('7', 8)).toBe(1);
  counts.before('8', 5, 0);
  expect(counts.record('8', 1)).toBe(1);
});

test('a record that is only counted is one, and the next that is explained stands for it too', () => {
  const counts = new Counts();
  expect(tokenless(counts, '7')).toBeNull();
  counts.record('7', 1);
  counts.went('7', []);
  expect([tokenless(counts, '7'), tokenless(counts, '7')]).toEqual([1, 1]);
  expect(counts.sampled('7')).toBe(true);
  expect(counts.takeTokenless('7')).toBe(2);
  expect(counts.takeTokenless('7')).toBe(0);
  expect(counts.record('7', 3)).toBe(1);
  // The kernel's total had the last one already.
  expect(total(counts, '7', 5)).toBe(1);
  expect(tokenless(counts, '7')).toBe(0);
});

test('of many keys those that are quiet longest go to their finding, of a connection no longer known', () => {
  const counts = new Counts();
  const finding = {} as OpenFinding;
  const keys = Array.from({ length: 12_000 }, (_, at) => String(2 ** 43 + at));
  for (const [at, key] of keys.entries()) {
    const [event, match] = [{ key, ktime_ns: at * 1e6 }, { flow: { sport: at } }];
    const occurrence = { event, match, by: null, finding } as unknown as Occurrence;
    expect(counts.record(key, 1)).toBe(1);
    counts.went(key, [occurrence]);
  }
  counts.advance(60e9);
  const flows = keys.map((key) => {
    const { count = 0, went = [] } = counts.total(key, 4) ?? {};
    expect(count).toBe(3);
    expect(went).toMatchObject([{ finding }]);
    return (went[0] as { flow?: unknown } | undefined)?.flow;
  });
  expect(flows.filter((flow) => flow === null)).toHaveLength(2000);
  expect(flows.indexOf(null)).toBe(0);
  expect(flows.lastIndexOf(null)).toBe(1999);
  expect(counts.untold).toBe(0);
});

test('of more keys than are in use each is exact, however long it was quiet', () => {
  const next = random(3);
  const counts = new Counts();
  const finding = {} as OpenFinding;
  const keys = Array.from({ length: 40_000 }, (_, at) => String(2n ** 63n + BigInt(at * 7919)));
  const exact = new Map<string, number>();
  const went = (key: string, sport: number) => {
    const match = { flow: { sport } };
    counts.went(key, [
      { event: { key, ktime_ns: 0 }, match, by: null, finding } as unknown as Occurrence,
    ]);
  };
  let given = 0;
  let stray = 0;
  for (const [at, key] of keys.entries()) {
    const [recorded, more] = [1 + Math.floor(next() * 3), next() < 0.5 ? 0 : 2];
    exact.set(key, recorded + more);
    // Of every tenth there are totals only.
    if (at % 10 === 0) stray += recorded + more;
    else {
      given += counts.record(key, recorded);
      went(key, at);
    }
    if (more > 0 || at % 10 === 0) given += counts.total(key, recorded + more)?.count ?? 0;
    counts.advance(at * 1e9);
  }
  expect(counts.untold).toBe(stray);
  const sum = () => [...exact.values()].reduce((all, count) => all + count, 0);
  expect(given).toBe(sum() - stray);
  // Each is heard of once more: by a record that stands for what was told by its total, and by a total.
  for (const [at, key] of keys.entries()) {
    const before = exact.get(key) ?? 0;
    if (at % 2 === 0) given += counts.total(key, before + 1)?.count ?? 0;
    exact.set(key, before + 1);
    if (at % 10 === 0) given += counts.record(key, before + 1);
    else if (at % 2 !== 0) given += counts.total(key, before + 1)?.count ?? 0;
    went(key, at);
    counts.advance(1e15 + at * 1e9);
  }
  expect(given).toBe(sum());
  expect(counts.untold).toBe(0);
  expect(counts.forgotten).toBe(0);
});
