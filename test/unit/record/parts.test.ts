// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { partNumbers, partPath, prune } from '../../../src/record/parts.ts';

const ANY = { max_bytes: null, max_age_ms: null };
const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-parts-'));
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  ['a/x.tcpwhy', 'a/x.000007.tcpwhy'],
  ['x.tcpwhy.zst', 'x.000007.tcpwhy.zst'],
  ['/x.y.zst', '/x.y.000007.zst'],
  ['x', 'x.000007'],
])('files of %s are numbered before what they are', (path, part) => {
  expect(partPath(path, 7)).toBe(part);
});

test('the oldest go, and nothing else', () => {
  const base = join(folder, 'x.tcpwhy');
  const others = ['x.tcpwhy', 'x.1.tcpwhy', 'x.000001.tcpwhy.zst', 'xx.000001.tcpwhy'];
  for (const name of others) writeFileSync(join(folder, name), '');
  for (const number of [1, 2, 9, 1_234_567]) writeFileSync(partPath(base, number), '');
  expect(partNumbers(base)).toEqual([1, 2, 9, 1_234_567]);
  prune(base, { ...ANY, keep: 3 });
  expect(partNumbers(base)).toEqual([9, 1_234_567]);
  expect(readdirSync(folder)).toEqual(expect.arrayContaining(others));
  prune(base, { ...ANY, keep: 6 });
  expect(partNumbers(base)).toEqual([9, 1_234_567]);
});

test('the oldest go until the others are small enough', () => {
  const base = join(folder, 'y.tcpwhy');
  for (const number of [1, 2, 3, 4]) writeFileSync(partPath(base, number), '1234');
  prune(base, { ...ANY, keep: Infinity, keep_bytes: 11 });
  expect(partNumbers(base)).toEqual([3, 4]);
  prune(base, { ...ANY, keep: Infinity, keep_bytes: 3 });
  expect(partNumbers(base)).toEqual([]);
});
