// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import type { Event } from '../../../src/wire/event.ts';
import { Reorder } from '../../../src/wire/reorder.ts';
import { interleaved, random } from '../diagnose/random.ts';

const at = (ktime_ns: number, cpu = 0) => ({ ktime_ns, cpu, kind: 'drop' }) as Event;

function filled(events: readonly Event[]): Reorder<Event> {
  const reorder = new Reorder<Event>();
  for (const event of events) reorder.push(event);
  return reorder;
}

const times = (events: Event[]) => events.map(({ ktime_ns }) => ktime_ns);

test('releases up to and including the time, oldest first', () => {
  const reorder = filled([at(30), at(10), at(20)]);
  expect(times(reorder.release(9))).toEqual([]);
  expect(times(reorder.release(20))).toEqual([10, 20]);
  expect(times(reorder.release(20))).toEqual([]);
  expect(times(reorder.release(Number.POSITIVE_INFINITY))).toEqual([30]);
});

test('keeps the order of arrival where times are equal', () => {
  const reorder = filled([at(10, 1), at(5, 2), at(10, 3), at(10, 2)]);
  expect(reorder.release(10).map(({ cpu }) => cpu)).toEqual([2, 1, 3, 2]);
});

test('keeps the order of arrival over several releases', () => {
  const reorder = filled([at(10, 1), at(20, 1)]);
  reorder.release(10);
  reorder.push(at(20, 2));
  expect(reorder.release(20).map(({ cpu }) => cpu)).toEqual([1, 2]);
});

test.each(Array.from({ length: 100 }, (_, seed) => seed))(
  'puts the buffers of eight CPUs in order, however they are drained (%i)',
  (seed) => {
    const next = random(seed);
    const cpus = Array.from({ length: 8 }, (_, cpu) => {
      let now = 0;
      return Array.from({ length: 20 }, () => {
        now += 1 + Math.floor(next() * 50);
        return at(now, cpu);
      });
    });
    const reorder = filled(interleaved(cpus, next));
    const released = [200, 201, 600, Number.POSITIVE_INFINITY].map((until) =>
      reorder.release(until),
    );
    const all = released.flat();
    expect(times(all)).toEqual(times(cpus.flat()).sort((a, b) => a - b));
    expect(times(released[0] ?? []).every((ktime_ns) => ktime_ns <= 200)).toBe(true);
    for (const [cpu, events] of cpus.entries())
      expect(all.filter((event) => event.cpu === cpu)).toEqual(events);
  },
);

test('what is held may be replaced', () => {
  const reorder = filled([at(10), at(30), at(20)]);
  expect(times(reorder.release(10))).toEqual([10]);
  reorder.keep((event) => ({ ...event, cpu: 7 }));
  expect(reorder.release(30).map(({ ktime_ns, cpu }) => [ktime_ns, cpu])).toEqual([
    [20, 7],
    [30, 7],
  ]);
});

test('of those that are held the older half can go before their time, in order', () => {
  const reorder = new Reorder<{ ktime_ns: number }>();
  for (const ktime_ns of [5, 3, 9, 1, 7, 3]) reorder.push({ ktime_ns });
  expect(reorder.older().map(({ ktime_ns }) => ktime_ns)).toEqual([1, 3, 3, 5]);
  expect(reorder.length).toBe(2);
  expect(reorder.release(9).map(({ ktime_ns }) => ktime_ns)).toEqual([7, 9]);
});
