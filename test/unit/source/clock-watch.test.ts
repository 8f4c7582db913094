// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { ClockWatch } from '../../../src/source/clock-watch.ts';

const MS = 1_000_000n;

it.each([
  ['forward', 3600_000n * MS],
  ['back', -3600_000n * MS],
  ['a little', 5n * MS + 1n],
])('tells once that the clock was set %s', (_, by_ns) => {
  let offset_ns = 7n;
  const watch = new ClockWatch(7n, () => offset_ns);
  expect(watch.changed()).toBe(null);
  offset_ns += by_ns;
  expect(watch.changed()).toEqual({ offset_ns: String(offset_ns), was_ns: '7' });
  expect(watch.changed()).toBe(null);
});

it('is silent about what NTP slews, until that adds up', () => {
  let offset_ns = 0n;
  const watch = new ClockWatch(0n, () => offset_ns);
  const told: string[] = [];
  for (let tick = 0; tick < 1200; tick++, offset_ns += 10_000n)
    told.push(watch.changed()?.offset_ns ?? '');
  expect(told.filter((offset) => offset !== '')).toEqual(['5010000', '10020000']);
});
