// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { encodeEvent } from '../../../src/wire/decode.ts';
import { FrameError, FrameReader, MAX_FRAME_BYTES } from '../../../src/wire/frames.ts';

const messages = [0, 1, 127, 128, 300, 5000].map((length) => Buffer.alloc(length, length % 251));
const stream = Buffer.concat(
  messages.map((message) => Buffer.concat([prefix(message.length), message])),
);

function prefix(length: number): Buffer {
  const bytes: number[] = [];
  let rest = length;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80);
  return Buffer.from([...bytes, rest]);
}

function read(...chunks: Uint8Array[]) {
  const reader = new FrameReader();
  const frames = chunks.flatMap((chunk) => [...reader.push(chunk)]);
  return {
    frames: frames.map(({ bytes }) => Buffer.from(bytes)),
    rest: reader.rest,
    at: frames.map(({ at }) => at),
  };
}

/** What toEqual says of a few buffers takes it too long to say of thousands. */
function same(a: Buffer[], b: Buffer[]): boolean {
  return a.length === b.length && a.every((bytes, at) => b[at]?.equals(bytes));
}

test('reads messages of every length of prefix', () => {
  const { frames, rest, at } = read(stream);
  expect(frames).toEqual(messages);
  expect(rest).toEqual({ bytes: 0, at: stream.length });
  expect(at).toEqual([0, 1, 3, 131, 261, 563]);
});

test('is cut at each byte', () => {
  for (let cut = 0; cut <= stream.length; cut++) {
    const { frames, at } = read(stream.subarray(0, cut), stream.subarray(cut));
    expect(same(frames, messages), `cut at ${cut}`).toBe(true);
    expect(at).toEqual([0, 1, 3, 131, 261, 563]);
  }
});

test('comes one byte at a time', () => {
  const chunks = [...stream].map((byte) => Uint8Array.of(byte));
  expect(read(...chunks).frames).toEqual(messages);
});

test('says what is left of a stream that ends early', () => {
  for (let cut = 0; cut < stream.length; cut++) {
    const { frames, rest } = read(stream.subarray(0, cut));
    expect(same(frames, messages.slice(0, frames.length)), `cut at ${cut}`).toBe(true);
    const whole = frames.reduce((sum, { length }) => sum + prefix(length).length + length, 0);
    expect(rest).toEqual({ bytes: cut - whole, at: whole });
  }
});

test.each([
  ['a message longer than any', prefix(MAX_FRAME_BYTES + 1)],
  ['a length without end', Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0x01])],
])('refuses %s, and says where', (_, damaged) => {
  const reader = new FrameReader();
  const good = Buffer.concat([prefix(3), Buffer.alloc(3)]);
  const read_before: number[] = [];
  const all = () => {
    for (const { at } of reader.push(Buffer.concat([good, good, damaged]))) read_before.push(at);
  };
  expect(all).toThrow(FrameError);
  expect(read_before).toEqual([0, 4]);
  expect(reader.rest.at).toBe(8);
});

test('tells the place of the damage from the beginning of the stream', () => {
  const reader = new FrameReader();
  for (const length of [3, 7, 1])
    expect([...reader.push(Buffer.concat([prefix(length), Buffer.alloc(length)]))]).toHaveLength(1);
  const error = catching(() => [...reader.push(Buffer.alloc(6, 0xff))]);
  expect(error).toBeInstanceOf(FrameError);
  expect((error as FrameError).at).toBe(14);
});

test('takes the longest message', () => {
  const longest = Buffer.concat([prefix(MAX_FRAME_BYTES), Buffer.alloc(MAX_FRAME_BYTES)]);
  expect(read(longest).frames).toHaveLength(1);
});

test.each([
  ['that BPF writes', [0x82, 0x80, 0x80, 0x00]],
  ['of five bytes', [0x82, 0x80, 0x80, 0x80, 0x00]],
])('takes padded lengths %s', (_, padded) => {
  const message = Buffer.from([...padded, 7, 8]);
  expect(read(message, encodeEvent({ cpu: 1 })).frames[0]).toEqual(Buffer.from([7, 8]));
});

function catching(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return null;
}
