// SPDX-License-Identifier: Apache-2.0

import { Readable } from 'node:stream';
import { constants, createZstdDecompress, zstdDecompressSync } from 'node:zlib';
import type { Damage } from './messages.ts';

const MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
const SKIPPABLE = 0x184d2a50;
const MAX_BLOCK_BYTES = 128 << 10;
/** A frame up to these sizes, compressed and not, is read as a whole; tcpwhy writes no larger ones. */
const WHOLE_BYTES = 4 << 20;
const MAX_CONTENT_BYTES = 64 << 20;
/** What is decompressed at once. */
const CHUNK_BYTES = 1 << 20;

const CUT_OFF = 'cut off within a zstd frame (offset in the compressed file)';
const DAMAGED = 'damaged zstd frame (offset in the compressed file)';

export function isZstd(start: Buffer): boolean {
  return start.subarray(0, 4).equals(MAGIC) || isSkippable(start);
}

/**
 * What is in a file of zstd frames (RFC 8878), and what of it cannot be read. A damaged frame is left
 * out; one that is larger than tcpwhy writes them ends there. `used` is told how many bytes of the file
 * that is which comes next, and all before it. A chunk is not looked at again when the next one is asked for.
 */
export async function* decompressed(
  chunks: AsyncIterable<Buffer>,
  used: (bytes: number) => void = () => undefined,
): AsyncGenerator<Buffer | Damage> {
  let held: Buffer = Buffer.alloc(0);
  let at = 0;
  const iterator = chunks[Symbol.asyncIterator]();
  let ended = false;
  const more = async (): Promise<void> => {
    const { value, done } = await iterator.next();
    if (done) ended = true;
    else held = Buffer.concat([held, value]);
  };
  for (;;) {
    const length = frameLength(held);
    if (length === 'more' && !ended) {
      if (held.length < WHOLE_BYTES) {
        await more();
        continue;
      }
      yield* streamed(held, iterator, at, used);
      return;
    }
    if (held.length === 0) return;
    const content = typeof length === 'number' ? decompress(held.subarray(0, length)) : length;
    if (content === 'large') {
      yield* streamed(held, iterator, at, used);
      return;
    }
    if (content instanceof Buffer && typeof length === 'number') {
      held = held.subarray(length);
      at += length;
      used(at);
      yield content;
      continue;
    }
    let next = held.indexOf(MAGIC, 1);
    while (next < 0 && !ended) {
      await more();
      if (held.length > WHOLE_BYTES) break;
      next = held.indexOf(MAGIC, 1);
    }
    const cut = next < 0 && length === 'more';
    const bytes = next < 0 ? held.length : next;
    used(at + bytes);
    if (cut) yield beginning(held);
    yield { at, bytes, what: cut ? CUT_OFF : DAMAGED };
    held = held.subarray(bytes);
    at += bytes;
  }
}

function decompress(frame: Buffer): Buffer | 'large' | 'damaged' {
  try {
    return zstdDecompressSync(frame, {
      chunkSize: roomFor(frame),
      maxOutputLength: MAX_CONTENT_BYTES,
    });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? 'large' : 'damaged';
  }
}

/** Room for what a frame says is in it: with more, most of it would be garbage, once a frame. */
function roomFor(frame: Buffer): number {
  const { at, bytes, more } = contentSize(frame[4] ?? 0);
  if (bytes === 0 || bytes > 4 || at + bytes > frame.length) return CHUNK_BYTES;
  const content = more + frame.readUIntLE(at, bytes);
  return Math.min(CHUNK_BYTES, Math.max(constants.Z_MIN_CHUNK, content + 1));
}

/** Where a frame with such a descriptor says how much is in it, in how many bytes, and what is to be added. */
function contentSize(descriptor: number): { at: number; bytes: number; more: number } {
  const single = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const bytes = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  return { at: 5 + (single ? 0 : 1) + dictionary, bytes, more: bytes === 2 ? 256 : 0 };
}

/** What can be read of a frame whose end is missing. */
function beginning(frame: Buffer): Buffer {
  try {
    return zstdDecompressSync(frame, {
      finishFlush: constants.ZSTD_e_flush,
      maxOutputLength: MAX_CONTENT_BYTES,
    });
  } catch {
    return Buffer.alloc(0);
  }
}

/** As other programs write them: one frame for everything. */
async function* streamed(
  first: Buffer,
  rest: AsyncIterator<Buffer>,
  at: number,
  used: (bytes: number) => void,
): AsyncGenerator<Buffer | Damage> {
  let taken = first.length;
  async function* all() {
    yield first;
    for (let next = await rest.next(); !next.done; next = await rest.next()) {
      taken += next.value.length;
      // The decompressor is still busy with it when the next one is read.
      yield Buffer.from(next.value);
    }
  }
  const source = Readable.from(all());
  const content = source.pipe(createZstdDecompress());
  source.on('error', (error) => content.destroy(error));
  try {
    for await (const bytes of content) {
      used(at + content.bytesWritten);
      yield bytes;
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!code?.startsWith('ZSTD_') && code !== 'Z_BUF_ERROR') throw error;
    yield { at: at + taken, bytes: 1, what: code === 'Z_BUF_ERROR' ? CUT_OFF : DAMAGED };
  } finally {
    source.destroy();
  }
}

/** Bytes of the frame that `held` begins with. */
function frameLength(held: Buffer): number | 'more' | 'damaged' {
  if (held.length < 4) return MAGIC.subarray(0, held.length).equals(held) ? 'more' : 'damaged';
  if (isSkippable(held)) {
    if (held.length < 8) return 'more';
    const length = 8 + held.readUInt32LE(4);
    return length > held.length ? 'more' : length;
  }
  if (!held.subarray(0, 4).equals(MAGIC)) return 'damaged';
  const descriptor = held[4];
  if (descriptor === undefined) return 'more';
  const { at, bytes: size } = contentSize(descriptor);
  let from = at + size;
  for (;;) {
    if (from + 3 > held.length) return 'more';
    const block = held.readUIntLE(from, 3);
    const type = (block >> 1) & 3;
    const bytes = block >> 3;
    if (type === 3 || bytes > MAX_BLOCK_BYTES) return 'damaged';
    from += 3 + (type === 1 ? 1 : bytes);
    if ((block & 1) === 0) continue;
    const end = from + (descriptor & 4 ? 4 : 0);
    return end > held.length ? 'more' : end;
  }
}

function isSkippable(start: Buffer): boolean {
  return start.length >= 4 && (start.readUInt32LE(0) & 0xfffffff0) >>> 0 === SKIPPABLE;
}
