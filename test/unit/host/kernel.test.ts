// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { cpu_ms } from '../../../src/host/kernel.ts';

const SLEPT_MS = 200;

it('counts what this thread runs, and not how long it sleeps', () => {
  const began_ms = cpu_ms();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SLEPT_MS);
  const slept_ms = cpu_ms() - began_ms;
  while (cpu_ms() - began_ms < slept_ms + SLEPT_MS);
  expect(slept_ms).toBeLessThan(SLEPT_MS / 2);
});
