// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { QuietKeys } from '../../../src/diagnose/quiet-keys.ts';

const MILLION = 1_000_000;

test('holds a million keys, and says so of one that finds no room', () => {
  const keys = new QuietKeys();
  const key = (at: number) => String(2 ** 43 + at);
  let held = 0;
  while (keys.set(key(held), { given: held, rest: held % 3, where: held % 7 })) held++;
  expect(held).toBeGreaterThan(MILLION);
  expect(held).toBeLessThan(2 * MILLION);
  expect(keys.forgotten).toBe(0);
  for (let at = 0; at < held; at += 9973)
    expect(keys.get(key(at))).toEqual({ given: at, rest: at % 3, where: at % 7 });
  expect(keys.get(key(held))).toBeNull();
  // One that is there can be told again.
  expect(keys.set(key(5), { given: 2 ** 40, rest: 0, where: 1 })).toBe(true);
  expect(keys.get(key(5))).toEqual({ given: 2 ** 40, rest: 0, where: 1 });
});

test('takes no longer for keys that somebody chose to be in one place', () => {
  const keys = new QuietKeys();
  // Those that the hash takes for one another: its inverse undoes what it spreads.
  const inverse = 0xf1de83e19937733dn;
  const chosen = Array.from({ length: 1000 }, (_, at) =>
    String(BigInt.asUintN(64, (BigInt(at) + 1n) * inverse)),
  );
  const held = chosen.filter((key, at) => keys.set(key, { given: at, rest: 0, where: 0 }));
  expect(held.length).toBeLessThanOrEqual(64);
  expect(held.every((key) => keys.get(key) !== null)).toBe(true);
});
