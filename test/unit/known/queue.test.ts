// SPDX-License-Identifier: Apache-2.0

import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { Queue } from '../../../src/known/queue.ts';

test('is first in, first out', () => {
  const queue = new Queue<number>();
  const seen: (number | undefined)[] = [];
  for (let i = 0; i < 10; i++) {
    queue.push(2 * i);
    queue.push(2 * i + 1);
    seen.push(queue.oldest);
    queue.shift();
  }
  expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(queue.length).toBe(10);
  expect([...queue.newestFirst()]).toEqual([19, 18, 17, 16, 15, 14, 13, 12, 11, 10]);
});

test('holds nothing of what has left it', async () => {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  const queue = new Queue<object>();
  const held = [1, 2, 3, 4, 5].map((one) => {
    const value = { one };
    queue.push(value);
    return new WeakRef(value);
  });
  queue.shift();
  queue.shift();
  await setImmediate();
  collect();
  expect(held.map((one) => one.deref() !== undefined)).toEqual([false, false, true, true, true]);
  expect(queue.oldest).toEqual({ one: 3 });
});
