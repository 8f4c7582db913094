// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { ringBytes } from '../../../src/source/rings.ts';

const MIB = 1 << 20;

it.each([
  [1, 2 * MIB],
  [64, 2 * MIB],
  [65, MIB],
  [128, MIB],
  [192, MIB / 2],
  [512, MIB / 4],
  [4096, MIB / 4],
])('of %i CPUs each has %i bytes', (cpus, bytes) => {
  expect(ringBytes(cpus)).toBe(bytes);
});

it('takes no more than 128 MiB in all, up to where each has the least', () => {
  for (let cpus = 1; cpus <= 512; cpus++) {
    const bytes = ringBytes(cpus);
    expect(Number.isInteger(Math.log2(bytes))).toBe(true);
    expect(bytes * cpus).toBeLessThanOrEqual(128 * MIB);
  }
});
