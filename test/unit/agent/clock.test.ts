// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { clockTrouble } from '../../../src/agent/clock.ts';

test('a clock that nobody has set yet is said, and no other', () => {
  expect(clockTrouble(17_000)).toMatch('is not set (1970-01-01T00:00:17.000Z): findings');
  expect(clockTrouble(Date.UTC(2019, 11, 31))).not.toBeNull();
  expect(clockTrouble(Date.now())).toBeNull();
});
