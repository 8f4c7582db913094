// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { isIgnored } from '../../../src/host/signals.ts';

test.each([
  ['0000000000000001', true],
  ['0000000001001001', true],
  ['0000000001001000', false],
  ['ffffffffffffffff', true],
  ['', false],
  ['no mask', false],
])('SIGHUP of SigIgn %j', (mask, ignored) => {
  expect(isIgnored('SIGHUP', mask)).toBe(ignored);
});
