// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { deferralSeconds } from '../../../src/tcp/deferral.ts';

test.each([
  [0, 0],
  [1, 1],
  [3, 7],
  [7, 127],
  [8, 247],
  [9, 367],
])('%i timeouts take %i s', (timeouts, seconds) => {
  expect(deferralSeconds(timeouts)).toBe(seconds);
});

test('any number of them that a recording may claim is told at once', () => {
  expect(deferralSeconds(2 ** 32 - 1)).toBe(127 + (2 ** 32 - 8) * 120);
});
