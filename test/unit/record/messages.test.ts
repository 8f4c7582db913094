// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { CHECK_BYTES } from '../../../src/record/check.ts';
import { CUT_OFF, MessageReader, NO_FOOTER } from '../../../src/record/messages.ts';
import { encodeEvent } from '../../../src/wire/decode.ts';
import { tick } from '../diagnose/events.ts';
import { readAll, recorded } from './recordings.ts';

const { stream, batches } = recorded(4, 2);
/** Where each second's check ends. */
const checked = batches.map((_, second) =>
  batches.slice(0, second + 1).reduce((sum, { length }) => sum + length + CHECK_BYTES, 0),
);

test('is handed on as it is, in pieces of any size', () => {
  for (const size of [1, 7, 100, stream.length]) {
    expect(readAll(stream, size)).toEqual({ messages: stream, damages: [] });
  }
});

test('is cut at each byte: all messages before are read, and the cut is named', () => {
  for (let cut = 0; cut < stream.length; cut++) {
    const { messages, damages } = readAll(stream.subarray(0, cut));
    expect(stream.subarray(0, messages.length).equals(messages)).toBe(true);
    expect(damages).toHaveLength(stream.length - cut <= CHECK_BYTES ? damages.length : 1);
    for (const { at, bytes, what } of damages) {
      expect(at).toBe(messages.length);
      expect(at + bytes).toBe(cut);
      expect(what).toBe(bytes > 0 ? CUT_OFF : NO_FOOTER);
    }
  }
});

test('has each bit flipped: what is before and after that second is read, and it is named', {
  timeout: 30_000,
}, () => {
  for (let bit = 0; bit < 8 * stream.length; bit++) {
    const damaged = Buffer.from(stream);
    damaged.writeUInt8((damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
    const place = bit >> 3;
    const second = checked.findIndex((end) => place < end);
    const begin = checked[second - 1] ?? 0;
    const end = checked[second] ?? 0;
    const { messages, damages } = readAll(damaged, 1000);
    expect(messages.subarray(0, begin).equals(stream.subarray(0, begin))).toBe(true);
    const [{ at, bytes } = { at: 0, bytes: 0 }] = damages;
    // Nothing vouches for the last check.
    if (place < stream.length - CHECK_BYTES) expect(at).toBeLessThanOrEqual(place);
    expect(at).toBeGreaterThanOrEqual(begin);
    expect(at + bytes).toBeGreaterThanOrEqual(Math.min(place, end - CHECK_BYTES));
    // A flipped check is found out only by the one after it.
    const next = checked[second + 1] ?? stream.length;
    const after = stream.subarray(place >= end - CHECK_BYTES ? next : end);
    expect(messages.subarray(messages.length - after.length).equals(after)).toBe(true);
  }
});

test('without checks, as older programs wrote them, is read to its end', () => {
  const unchecked = Buffer.concat(batches);
  expect(readAll(unchecked, 1000)).toEqual({ messages: unchecked, damages: [] });
});

test('without checks for long, is not kept waiting', () => {
  const many = Buffer.concat(Array.from({ length: 50_000 }, (_, ms) => encodeEvent(tick(ms))));
  const reader = new MessageReader();
  const handed: number[] = [];
  for (let i = 0; i < 40; i++)
    for (const { messages } of reader.push(many)) handed.push(messages.length);
  expect(handed.length).toBeGreaterThan(0);
  expect(40 * many.length - handed.reduce((a, b) => a + b)).toBeLessThan(9 << 20);
});

test('goes on after a gap, with what was whole before it', () => {
  const reader = new MessageReader();
  const [first = 0, second = 0] = checked;
  const gap = { at: 77, bytes: 5, what: 'a gap' };
  const pieces = [
    ...reader.push(stream.subarray(0, first + 10)),
    ...reader.gap(gap),
    ...reader.push(stream.subarray(second)),
    ...reader.end(),
  ];
  expect(Buffer.concat(pieces.map(({ messages }) => messages))).toEqual(
    Buffer.concat([stream.subarray(0, first), stream.subarray(second)]),
  );
  expect(pieces.flatMap(({ damage }) => damage ?? [])).toEqual([gap]);
});
