// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { Newest } from '../../../src/known/newest.ts';

test('the oldest goes first, also after others were taken out, set anew and all were', () => {
  const newest = new Newest<number, string>(3);
  for (const key of [1, 2, 3, 4]) newest.set(key, `${key}`);
  expect([...newest.keys()]).toEqual([2, 3, 4]);
  newest.delete(2);
  newest.set(3, 'again').set(5, '5').set(6, '6');
  expect([...newest.keys()]).toEqual([4, 5, 6]);
  for (const key of [4, 5, 6]) newest.delete(key);
  for (const key of [7, 8, 9, 10]) newest.set(key, `${key}`);
  expect([...newest.keys()]).toEqual([8, 9, 10]);
  newest.clear();
  for (const key of [2, 1, 4, 3, 1]) newest.set(key, `${key}`);
  expect([...newest.keys()]).toEqual([1, 4, 3]);
});
