// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { FINAL_NS } from '../../../src/diagnose/engine.ts';
import { UntilFinal } from '../../../src/diagnose/until-final.ts';

function settling() {
  const taken: number[] = [];
  return { taken, until_final: new UntilFinal<number>((value) => taken.push(value)) };
}

test('what is final goes, in order, and the rest at the end', () => {
  const { taken, until_final } = settling();
  until_final.push(1, 0);
  until_final.push(2, 1);
  until_final.push(3, FINAL_NS);
  expect(taken).toEqual([]);
  until_final.push(4, FINAL_NS + 1);
  expect(taken).toEqual([1]);
  until_final.finish();
  expect(taken).toEqual([1, 2, 3, 4]);
});

test('not more than a bounded number waits', () => {
  const { taken, until_final } = settling();
  const count = 100_000;
  for (let i = 0; i < count; i++) until_final.push(i, 0);
  expect(taken).toHaveLength(95_000);
  until_final.finish();
  expect(taken).toEqual(Array.from({ length: count }, (_, i) => i));
});
