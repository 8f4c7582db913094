// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { QuietKeys } from '../../../src/diagnose/quiet-keys.ts';

const MILLION = 1_000_000;

test('holds a million keys, and says so of one that finds no room', () => {
  const keys = new QuietKeys();
  const key = (at: number) => String(2 ** 43 + at);
  let held = 0;
  const value = (at: number) => ({
    given: 1 + (at % 50),
    rest: at % 20 === 0 ? 3 : 0,
    where: at % 7,
  });
  while (keys.set(key(held), value(held))) held++;
  expect(held).toBeGreaterThan(MILLION);
  expect(held).toBeLessThan(2 * MILLION);
  expect(keys.forgotten).toBe(0);
  for (let at = 0; at < held; at += 9973) expect(keys.get(key(at))).toEqual(value(at));
  expect(keys.get(key(held))).toBeNull();
  // One that is there can be told again, and what it was before is no longer so.
  expect(keys.set(key(5), { given: 9, rest: 0, where: 1 })).toBe(true);
  expect(keys.get(key(5))).toEqual({ given: 9, rest: 0, where: 1 });
  expect(keys.set(key(5), { given: 2 ** 40, rest: 0, where: 1 })).toBe(false);
  expect(keys.get(key(5))).toBeNull();
});

test('looks at few places for keys that somebody chose to be in one', () => {
  const keys = new QuietKeys();
  // Those that the hash takes for one another: its inverse undoes what it spreads.
  const inverse = 0xf1de83e19937733dn;
  const chosen = Array.from({ length: 1000 }, (_, at) =>
    String(BigInt.asUintN(64, (BigInt(at) + 1n) * inverse)),
  );
  const held = chosen.filter((key, at) => keys.set(key, { given: at, rest: 0, where: 0 }));
  expect(held).toEqual(chosen);
  expect(held.every((key, at) => keys.get(key)?.given === at)).toBe(true);
});
