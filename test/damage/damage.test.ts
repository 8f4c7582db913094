// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { afterAll, expect, test, vi } from 'vitest';
import { CAUSES } from '../../src/causes/registry.gen.ts';
import { Pipeline } from '../../src/diagnose/pipeline.ts';
import { CHECK_BYTES, Checksum, isCheck } from '../../src/record/check.ts';
import { CUT_OFF, type Damage, GIVEN_UP, NO_FOOTER } from '../../src/record/messages.ts';
import { RecordedStream, RecordingError } from '../../src/record/read.ts';
import { decodeHeader, encodeFrame } from '../../src/wire/decode.ts';
import { FrameReader } from '../../src/wire/frames.ts';
import { random } from '../unit/diagnose/random.ts';
import { FOOTER, readAll } from '../unit/record/recordings.ts';

vi.setConfig({ testTimeout: 600_000 });

const RECORDINGS = join(import.meta.dirname, '../recordings');
const FIRST_BYTES = 16 << 10;
const RANDOM_CUTS = 300;
const FLIPS = 10_000;
const FILES = 3000;
const MESSAGES_A_CHECK = 3;
/** Of so many damaged recordings one goes through the whole pipeline. */
const EXPLAINED = 5;
const MOST_BYTES = 256 << 20;

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-damage-'));
const file = join(folder, 'x');
afterAll(() => rmSync(folder, { recursive: true }));

/** Of real recordings one after the other: the first one's header, everybody's events, a check after each few. */
const batches = batchesOf(
  readdirSync(RECORDINGS)
    .filter((name) => name.endsWith('.zst'))
    .map((name) => zstdDecompressSync(readFileSync(join(RECORDINGS, name)))),
);
const stream = Buffer.concat(batches);
const bounds = [...new FrameReader().push(stream)].map(({ at }) => at);
/** Of one recording, for what takes longer. */
const few = batches.slice(0, 12);
const small = Buffer.concat(few);
const ends = few.map((_, i) => Buffer.concat(few.slice(0, i + 1)).length);

function batchesOf(recordings: Buffer[]): Buffer[] {
  const messages = recordings.flatMap((recording, index) =>
    [...new FrameReader().push(recording)]
      .map(({ bytes }) => Buffer.from(encodeFrame(bytes)))
      .filter((message) => !isCheck(message, 0))
      .slice(index === 0 ? 0 : 1, -1),
  );
  messages.push(Buffer.from(FOOTER));
  const batches: Buffer[] = [];
  for (let from = 0; from < messages.length; from += MESSAGES_A_CHECK) {
    const sum = new Checksum();
    const batch = Buffer.concat(messages.slice(from, from + MESSAGES_A_CHECK));
    sum.add(batch);
    batches.push(Buffer.concat([batch, sum.take()]));
  }
  return batches;
}

/** Without expect, which takes longer than reading. */
function expectCut(cut: number): void {
  const { messages, damages } = readAll(stream.subarray(0, cut));
  const whole = wholeBefore(cut);
  if (messages.length !== whole || messages.compare(stream, 0, whole) !== 0)
    throw new Error(`cut at ${cut}: ${messages.length} bytes were read instead of ${whole}`);
  const bytes = cut - whole;
  const what = bytes > 0 ? CUT_OFF : NO_FOOTER;
  const [damage, ...more] = damages;
  if (more.length > 0 || damage?.at !== whole || damage.bytes !== bytes || damage.what !== what)
    throw new Error(`cut at ${cut}: ${JSON.stringify(damages)}`);
}

/** Where the message begins in which the cut is. */
function wholeBefore(cut: number): number {
  let low = 0;
  let high = bounds.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((bounds[middle] ?? 0) <= cut) low = middle;
    else high = middle - 1;
  }
  return bounds[low] ?? 0;
}

/** Everything that a run does with a recording, but printing. */
function explain(messages: Uint8Array): void {
  const [first] = new FrameReader().push(messages);
  if (!first) return;
  const pipeline = new Pipeline(decodeHeader(first.bytes), CAUSES);
  pipeline.push(
    messages.subarray(first.bytes.byteOffset + first.bytes.length - messages.byteOffset),
  );
  pipeline.finish();
  for (const { finding } of pipeline.engine.findings.values()) JSON.stringify(finding);
}

async function read(
  bytes: Uint8Array,
): Promise<{ messages: Buffer; damages: Damage[] } | RecordingError> {
  writeFileSync(file, bytes);
  try {
    const recording = await RecordedStream.open(file);
    const messages: Uint8Array[] = [];
    const damages: Damage[] = [];
    for await (const piece of recording.pieces()) {
      messages.push(piece.messages);
      if (piece.damage) damages.push(piece.damage);
    }
    return { messages: Buffer.concat(messages), damages };
  } catch (error) {
    if (error instanceof RecordingError) return error;
    throw error;
  }
}

test('cut at every byte of its first 16 KiB: what is before is read, the cut is named', () => {
  expect(stream.length).toBeGreaterThan(FIRST_BYTES);
  for (let cut = 0; cut < FIRST_BYTES; cut++) expectCut(cut);
});

test('cut at 300 random places, and explained', () => {
  const next = random(1);
  for (let i = 0; i < RANDOM_CUTS; i++) {
    const cut = Math.floor(next() * (stream.length - CHECK_BYTES));
    expectCut(cut);
    if (i % EXPLAINED === 0) explain(readAll(stream.subarray(0, cut)).messages);
  }
});

test('10 000 random bits flipped: what is before is read, the place is named, nothing breaks', () => {
  const next = random(2);
  for (let i = 0; i < FLIPS; i++) {
    const place = Math.floor(next() * small.length);
    const damaged = Buffer.from(small);
    damaged.writeUInt8((damaged[place] ?? 0) ^ (1 << Math.floor(next() * 8)), place);
    const { messages, damages } = readAll(damaged);
    const begin = ends.findLast((end) => end <= place) ?? 0;
    expect(messages.subarray(0, begin).equals(small.subarray(0, begin))).toBe(true);
    const named = damages.some(({ at, bytes }) => at <= place && place < at + bytes + CHECK_BYTES);
    expect(named || place >= small.length - CHECK_BYTES).toBe(true);
    if (i % EXPLAINED === 0) tryToExplain(messages, begin);
  }
});

function tryToExplain(messages: Uint8Array, sound: number): void {
  try {
    explain(messages);
  } catch (error) {
    // Without a header nothing can be read.
    expect((error as Error).name).toBe('UndecodableError');
    expect(sound).toBe(0);
  }
}

test('3000 random files are read, or refused with a reason', async () => {
  const next = random(3);
  let refused = 0;
  for (let i = 0; i < FILES; i++) {
    const result = await read(randomFile(next));
    if (result instanceof RecordingError) refused++;
    else if (i % 20 === 0) expect(result.damages.length).toBeGreaterThan(0);
  }
  expect(refused).toBeGreaterThan(FILES / 4);
  expect(refused).toBeLessThan(FILES);
});

/** Noise, noise after the magic of zstd or after a good header, or pieces of a recording in any order. */
function randomFile(next: () => number): Buffer {
  const noise = Buffer.alloc(Math.floor(next() ** 3 * 4096));
  for (let i = 0; i < noise.length; i++) noise[i] = next() * 256;
  const header = batches[0] ?? Buffer.alloc(0);
  const piece = () => {
    const from = Math.floor(next() * stream.length);
    return stream.subarray(from, from + Math.floor(next() * 2000));
  };
  switch (Math.floor(next() * 4)) {
    case 0:
      return noise;
    case 1:
      return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), noise]);
    case 2:
      return Buffer.concat([header, noise]);
    default:
      return Buffer.concat([header, piece(), piece(), noise, piece()]);
  }
}

const ZSTD = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };
const frames = few.map((batch) => zstdCompressSync(batch, ZSTD));
const compressed = Buffer.concat(frames);

test('compressed and cut at any byte: frames before are read, the cut is named', async () => {
  for (let cut = 1; cut < compressed.length; cut += 7) {
    const result = await read(compressed.subarray(0, cut));
    let whole = 0;
    let end = 0;
    for (const [i, frame] of frames.entries()) {
      end += frame.length;
      if (end <= cut) whole += batches[i]?.length ?? 0;
    }
    if (result instanceof RecordingError) {
      expect(whole).toBe(0);
      continue;
    }
    const from = bounds[1] ?? 0;
    expect(from + result.messages.length).toBeGreaterThanOrEqual(whole);
    expect(result.messages.equals(stream.subarray(from, from + result.messages.length))).toBe(true);
    expect(result.damages.length).toBeGreaterThan(0);
  }
});

test('compressed, with random bits flipped: frames before are read, and it is named', async () => {
  const next = random(4);
  for (let i = 0; i < 1000; i++) {
    const place = Math.floor(next() * compressed.length);
    const damaged = Buffer.from(compressed);
    damaged.writeUInt8((damaged[place] ?? 0) ^ (1 << Math.floor(next() * 8)), place);
    const result = await read(damaged);
    if (result instanceof RecordingError) expect(place).toBeLessThan(frames[0]?.length ?? 0);
    // The last few batches have no footer: that is one of them.
    else expect(result.damages.length).toBeGreaterThan(0);
  }
});

/** Highest resident set of a process that reads the file. */
function mostMemory(path: string): number {
  const read = join(import.meta.dirname, '../../src/record/read.ts');
  const script = `
    const { RecordedStream } = await import(${JSON.stringify(read)});
    try {
      for await (const piece of (await RecordedStream.open(process.argv[1])).pieces());
    } catch (error) {
      if (error.name !== 'RecordingError') throw error;
    }
    console.log(process.resourceUsage().maxRSS);`;
  const args = ['--input-type=module', '-e', script, path];
  return 1024 * Number(execFileSync(process.execPath, args, { encoding: 'utf8' }));
}

test.each([
  ['300 MiB of events', '.tcpwhy', () => batches.slice(1, -1), 300],
  ['300 MiB of zeros', '.zeros', () => [Buffer.alloc(1 << 20)], 300],
  [
    '300 MiB in frames of zstd',
    '.zst',
    () => batches.slice(1, -1).map((one) => zstdCompressSync(one)),
    300 / 8,
  ],
  ['2 GiB of zeros as one frame of zstd', '.bomb', () => [], 0],
])('%s are read in little memory', (_, suffix, content, mebibytes) => {
  const path = join(folder, `large${suffix}`);
  const fd = openSync(path, 'w');
  const start = batches[0] ?? Buffer.alloc(0);
  if (suffix === '.bomb') writeSync(fd, bomb(2 ** 31));
  else if (suffix !== '.zeros') writeSync(fd, suffix === '.zst' ? zstdCompressSync(start) : start);
  const block = Buffer.concat(content());
  const times = Math.ceil((mebibytes * 2 ** 20) / Math.max(1, block.length));
  for (let i = 0; i < times; i++) writeSync(fd, block);
  closeSync(fd);
  expect(mostMemory(path)).toBeLessThan(MOST_BYTES);
  rmSync(path);
});

test('what never ends and has nothing in it is given up', async () => {
  await expect(RecordedStream.open('/dev/zero')).rejects.toThrow(RecordingError);
  const path = join(folder, 'endless');
  writeFileSync(path, batches[0] ?? '');
  const hole = 2 ** 30;
  const fd = openSync(path, 'r+');
  writeSync(fd, batches[1] ?? Buffer.alloc(0), 0, null, hole);
  closeSync(fd);
  const damages: Damage[] = [];
  const recording = await RecordedStream.open(path);
  for await (const { damage } of recording.pieces()) if (damage) damages.push(damage);
  expect(damages.map(({ what }) => what)).toEqual([GIVEN_UP]);
  expect(recording.read_bytes).toBeLessThan(hole / 2);
  rmSync(path);
});

/** So many zeros, as blocks of one repeated byte. */
function bomb(bytes: number): Buffer {
  const blocks = bytes / 2 ** 17;
  const frame = Buffer.alloc(6 + 4 * blocks);
  frame.set([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]);
  for (let i = 0; i < blocks; i++)
    frame.writeUIntLE(((128 << 10) << 3) | (1 << 1) | Number(i === blocks - 1), 6 + 4 * i, 3);
  return frame;
}
