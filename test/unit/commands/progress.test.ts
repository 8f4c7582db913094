// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { progressText } from '../../../src/commands/progress.ts';

const MIB = 2 ** 20;

test.each([
  [256, 4, '[######··················]  25 %, 256 of 1024 MiB, 64 MiB/s, 12 s left'],
  [1024, 10, '[########################] 100 %, 1024 of 1024 MiB, 102 MiB/s'],
  [0.5, 1, '[························]   0 %, 1 of 1024 MiB, 1 MiB/s, 2047 s left'],
])('%d MiB in %d s', (read, seconds, text) => {
  expect(progressText(read * MIB, 1024 * MIB, seconds)).toBe(text);
  expect(text.length).toBeLessThan(80);
});

test('a size that is not known, as of a pipe', () => {
  expect(progressText(5 * MIB, 0, 1)).toBe('5 MiB, 5 MiB/s');
});
