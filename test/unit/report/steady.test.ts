// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { encodeEvent } from '../../../src/wire/decode.ts';
import { headerWith, streamOf } from '../causes/fixture.ts';
import { HEADER, packetEvent, REASON, tick } from '../diagnose/events.ts';
import { reportOf } from './reports.ts';

const HOUR_NS = 3600e9;
const CLIENT = '10.0.0.1';

/** The clock was set at that time of the monotonic one. */
const set = (ms: number, offset_ns: number) =>
  encodeEvent({
    ktime_ns: ms * 1e6,
    fact: { clock: { offset_ns: String(offset_ns), was_ns: '0' } },
  });

const reset = (ms: number, seq: number) =>
  packetEvent('reset_sent', { ms, seq, from: CLIENT, reason: REASON.strong });

function host(name: string, start_ns: number, offset_ns: number, clock: Uint8Array) {
  const header = {
    ...headerWith(HEADER),
    host: name,
    start_ktime_ns: start_ns,
    clock_offset_ns: String(offset_ns),
  };
  const stream = Buffer.concat([
    streamOf([reset(1000, 1), tick(1500)]),
    clock,
    streamOf([reset(2000, 2), tick(2500)]),
  ]);
  return { name, header, stream };
}

test('a finding has the time that the clock showed, however it was set', () => {
  const ahead = reportOf([host('a', 0, 0, set(1500, HOUR_NS))]);
  expect(ahead.findings[0]?.finding).toMatchObject({ first_ns: 1e9, last_ns: 2e9 + HOUR_NS });
  expect(ahead).toMatchObject({ start_ns: 0, end_ns: 2.5e9 + HOUR_NS });
  const back = reportOf([host('a', 0, 2 * HOUR_NS, set(1500, HOUR_NS))]);
  expect(back.findings[0]?.finding).toMatchObject({
    first_ns: 2e9 + HOUR_NS,
    last_ns: 1e9 + 2 * HOUR_NS,
  });
  expect(back).toMatchObject({ start_ns: 1.5e9 + HOUR_NS, end_ns: 1.5e9 - 1 + 2 * HOUR_NS });
});
