// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { FINAL_NS } from '../../../src/diagnose/engine.ts';
import { Settled } from '../../../src/diagnose/settled.ts';

function settling() {
  const taken: number[] = [];
  return { taken, settled: new Settled<number>((value) => taken.push(value)) };
}

test('what is final goes, in order, and the rest at the end', () => {
  const { taken, settled } = settling();
  settled.push(1, 0);
  settled.push(2, 1);
  settled.push(3, FINAL_NS);
  expect(taken).toEqual([]);
  settled.push(4, FINAL_NS + 1);
  expect(taken).toEqual([1]);
  settled.finish();
  expect(taken).toEqual([1, 2, 3, 4]);
});

test('not more than a bounded number waits', () => {
  const { taken, settled } = settling();
  const count = 100_000;
  for (let i = 0; i < count; i++) settled.push(i, 0);
  expect(taken).toHaveLength(80_000);
  settled.finish();
  expect(taken).toEqual(Array.from({ length: count }, (_, i) => i));
});
