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
