// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { WallClock } from '../../../src/known/clock.ts';
import { decodeEvent, encodeEvent } from '../../../src/wire/decode.ts';
import { FrameReader } from '../../../src/wire/frames.ts';

const OFFSET_NS = '1795000000123456789';

function step(clock: WallClock, ktime_ns: number, offset_ns: string): void {
  const bytes = encodeEvent({ ktime_ns, fact: { clock: { offset_ns, was_ns: OFFSET_NS } } });
  for (const frame of new FrameReader().push(bytes)) {
    const event = decodeEvent(frame.bytes);
    if (event) clock.learn(event);
  }
}

it('has the time by the clock as it was then', () => {
  const clock = new WallClock({ clock_offset_ns: OFFSET_NS });
  expect(clock.exactly(5)).toBe(1795000000123456794n);
  step(clock, 1000, '1795000003123456789');
  step(clock, 2000, '-7');
  expect(clock.exactly(999)).toBe(1795000000123457788n);
  expect(clock.exactly(1000)).toBe(1795000003123457789n);
  expect(clock.exactly(1999)).toBe(1795000003123458788n);
  expect(clock.exactly(2000)).toBe(1993n);
  expect(clock.at(2000)).toBe(1993);
});

it('is bounded, however often it is set', () => {
  const clock = new WallClock({ clock_offset_ns: '0' });
  for (let at = 1; at <= 5000; at++) step(clock, at * 10, String(at));
  expect(clock.at(50_000)).toBe(55_000);
  expect(clock.at(49_989)).toBe(49_989 + 4998);
  expect(clock.at(5)).toBeGreaterThan(5);
});
