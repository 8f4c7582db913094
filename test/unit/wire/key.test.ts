// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { sharedBy } from '../../../src/wire/key.ts';

test.each([
  ['0', null],
  [String(2n ** 40n - 1n), null],
  [String(2n ** 40n), 'host'],
  [String(2n ** 41n - 1n), 'host'],
  [String(2n ** 41n), 'cause'],
  [String(2n ** 42n - 1n), 'cause'],
  [String(2n ** 42n), null],
  [String(2n ** 63n), null],
  [String(2n ** 64n - 1n), null],
] as const)('%s is shared by %s', (key, by) => {
  expect(sharedBy(key)).toBe(by);
});
