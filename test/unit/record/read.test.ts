// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { constants, zstdCompressSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import type { Damage } from '../../../src/record/messages.ts';
import { RecordedStream } from '../../../src/record/read.ts';
import { recorded } from './recordings.ts';

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-read-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'x');

async function read(bytes: Uint8Array): Promise<{ messages: Buffer; damages: Damage[] }> {
  writeFileSync(file, bytes);
  const recording = await RecordedStream.open(file);
  const messages: Uint8Array[] = [];
  const damages: Damage[] = [];
  for await (const piece of recording.pieces()) {
    messages.push(piece.messages);
    if (piece.damage) damages.push(piece.damage);
  }
  expect(recording.read_bytes).toBe(recording.size_bytes);
  expect(recording.used_bytes).toBe(recording.size_bytes);
  return { messages: Buffer.concat(messages), damages };
}

const { stream } = recorded(4);
const plain = (await read(stream)).messages;
const checksum = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };
/** As tcpwhy writes it: a frame for each second. */
const seconds = [1, 2, 3, 4].map((n) => recorded(n).stream);
const frames = [0, 1, 2, 3].map((i) => {
  const from = i === 0 ? 0 : whole(i - 1);
  return zstdCompressSync(stream.subarray(from, whole(i)), checksum);
});

/** Up to the end of that second, the footer apart. */
function whole(i: number): number {
  return i === 3 ? stream.length : stream.indexOf(seconds[i]?.subarray(-10) ?? '', 0) + 10;
}

describe('zstd', () => {
  test.each([
    ['a frame for each second', Buffer.concat(frames)],
    ['one frame for all', zstdCompressSync(stream, checksum)],
    ['a skippable frame first', Buffer.concat([skippable(10), ...frames])],
  ])('of %s is read as if it were none', async (_, bytes) => {
    expect(await read(bytes)).toEqual({ messages: plain, damages: [] });
  });
});

function skippable(length: number): Buffer {
  const frame = Buffer.alloc(8 + length);
  frame.writeUInt32LE(0x184d2a53);
  frame.writeUInt32LE(length, 4);
  return frame;
}
