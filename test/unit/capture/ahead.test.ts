// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { Capture } from '../../../src/capture/capture.ts';
import { opened, pcap, type Row } from './captures.ts';

const SLICE_BYTES = 4096;

/** Each with another finding: a reset of who has sent nothing. */
const ROWS: Row[] = Array.from({ length: 2000 }, (_, at) => {
  const [client, server] = [`10.4.${at % 200}.45:${20_000 + at}`, '10.4.26.11:80'];
  const rows = opened(client, server, { at_ms: at, isn: 3_000_000_000 + at });
  const up = { from: client, to: server };
  return [...rows, { ...up, at_ms: at + 0.5, flags: 'R', seq: 3_000_000_101 + at }];
}).flat();

test('read ahead, in slices, it is told as read by each slice', () => {
  const bytes = pcap(ROWS);
  const [ahead, here] = [new Capture('x'), new Capture('x')];
  const slices: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += SLICE_BYTES)
    slices.push(here.push(bytes.subarray(at, at + SLICE_BYTES)));
  const [one, other] = [bytes.subarray(0, 300 << 10), bytes.subarray(300 << 10)];
  const read = [...ahead.pushed(one, SLICE_BYTES), ...ahead.pushed(other, SLICE_BYTES)];
  expect(read.length).toBe(slices.length);
  for (const [at, messages] of read.entries())
    expect(Buffer.compare(messages, slices[at] ?? messages)).toBe(0);
  expect([ahead.segments, ahead.packets]).toEqual([ROWS.length, ROWS.length]);
});

test('what is no capture is said when it is asked for', () => {
  const capture = new Capture('x');
  const read = () => [...capture.pushed(Buffer.alloc(3 * SLICE_BYTES, 'text'), SLICE_BYTES)];
  expect(read).toThrow(expect.objectContaining({ code: 'ENOCAPTURE' }));
});
