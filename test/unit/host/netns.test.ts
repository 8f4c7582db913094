// SPDX-License-Identifier: Apache-2.0

import { statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { netnsPath, ownNetns } from '../../../src/host/netns.ts';

const OF_NONE = 1;

test('the path of a namespace leads to it, also where it was found before', () => {
  const first = netnsPath(ownNetns()) ?? '';
  expect(statSync(first).ino).toBe(ownNetns());
  expect(netnsPath(ownNetns())).toBe(first);
});

test('one that is gone has none', () => {
  expect(netnsPath(OF_NONE)).toBeUndefined();
});
