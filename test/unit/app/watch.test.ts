// SPDX-License-Identifier: Apache-2.0

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { watch } from '../../../src/app/watch.ts';

const HOUR_MS = 3_600_000;
const never = new AbortController().signal;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test.each([1, 700, 2000])('%i hours are as long as they are', async (hours) => {
  let ended: string | null = null;
  watch(() => false, hours * HOUR_MS, never, HOUR_MS).then((why) => {
    ended = why;
  });
  await vi.advanceTimersByTimeAsync(hours * HOUR_MS - 1);
  expect(ended).toBe(null);
  await vi.advanceTimersByTimeAsync(1);
  expect(ended).toBe('time');
});

test('nothing is left of the time where something else ends it', async () => {
  const stop = new AbortController();
  const watched = watch(() => false, 2000 * HOUR_MS, stop.signal, HOUR_MS);
  await vi.advanceTimersByTimeAsync(1500 * HOUR_MS);
  stop.abort();
  expect(await watched).toBe('interrupted');
  expect(vi.getTimerCount()).toBe(0);
});

test('each time it is told when the next one is, from when that began', async () => {
  const stop = new AbortController();
  const began: number[] = [];
  const [now_ms, waits] = [performance.now(), [200, 100, 400]];
  const tick = () => {
    began.push(performance.now() - now_ms);
    vi.advanceTimersByTime(50);
    return began.length === 3;
  };
  const watched = watch(tick, null, stop.signal, () => waits.shift() ?? 0);
  await vi.advanceTimersByTimeAsync(2000);
  expect(await watched).toBe('first');
  expect(began).toEqual([200, 300, 700]);
  expect(vi.getTimerCount()).toBe(0);
});
