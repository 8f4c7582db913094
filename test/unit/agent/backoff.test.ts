// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { backoff_ms } from '../../../src/agent/backoff.ts';

test('it doubles up to a minute, and never comes at the same time for all', () => {
  const most = [1, 2, 3, 6, 7, 8, 1000].map((failures) => backoff_ms(failures, 1));
  expect(most).toEqual([1000, 2000, 4000, 32_000, 60_000, 60_000, 60_000]);
  const least = [1, 2, 3].map((failures) => backoff_ms(failures, 0));
  expect(least).toEqual([500, 1000, 2000]);
});
