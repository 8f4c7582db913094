// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { Refused } from '../../../src/flow/refused.ts';

test('gives away the newest of a process, each once', () => {
  const refused = new Refused();
  refused.add(1, 7, 100, 10, 1);
  refused.add(2, 7, 100, 20, 3);
  refused.add(3, 7, 101, 30, 1);
  refused.add(4, 8, 100, 40, 1);
  expect(refused.take(7, 100, 0)).toEqual({ number: 2, ktime_ns: 20, left: 3 });
  expect(refused.take(7, 100, 15)).toBeNull();
  expect(refused.take(7, 100, 0)).toEqual({ number: 1, ktime_ns: 10, left: 1 });
  expect(refused.take(7, 100, 0)).toBeNull();
  expect(refused.take(8, 100, 0)).toMatchObject({ number: 4 });
});

test('forgets the oldest of more than it has room for', () => {
  const refused = new Refused();
  for (let i = 0; i < 20_000; i++) refused.add(i, 7, i % 2, i, 1);
  for (let i = 19_999; i >= 20_000 - (1 << 14); i -= 2)
    expect(refused.take(7, 1, 0)).toMatchObject({ number: i });
  expect(refused.take(7, 1, 0)).toBeNull();
});
