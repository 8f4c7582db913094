// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { inCommon } from '../../../src/host/places.ts';

/** And how many of them were asked for. */
function common(...paths: (string | null)[]): [string, number] {
  let asked = 0;
  const path = inCommon(
    paths.values().map((one) => {
      asked++;
      return one;
    }),
  );
  return [path, asked];
}

test('a namespace is where all its processes are, as far as they have it in common', () => {
  expect(common()).toEqual(['/', 0]);
  expect(common(null, null)).toEqual(['/', 2]);
  expect(common('/docker/a')).toEqual(['/docker/a', 1]);
  expect(common('/docker/a', null, '/docker/a')).toEqual(['/docker/a', 3]);
  expect(common('/kubepods/pod1/a', '/kubepods/pod1/b', '/kubepods/pod1')).toEqual([
    '/kubepods/pod1',
    3,
  ]);
});

test('once they have nothing in common the others are not asked', () => {
  expect(common('/', '/a', '/b')).toEqual(['/', 1]);
  expect(common('/init.scope', '/user.slice/x', '/a', '/b')).toEqual(['/', 2]);
});
