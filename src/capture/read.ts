// SPDX-License-Identifier: Apache-2.0

import { createReadStream, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import { constants, createGunzip, createZstdDecompress } from 'node:zlib';
import { isZstd } from '../record/zstd.ts';

const CHUNK_BYTES = 1 << 20;
const GZIP = Buffer.from([0x1f, 0x8b]);
const MAGIC_BYTES = 4;

/** The bytes of a capture, decompressed. */
export interface CaptureBytes {
  /** Of the file; 0 where that is not known. */
  size_bytes: number;
  /** Of the file, so far. */
  read_bytes(): number;
  chunks: AsyncIterable<Buffer>;
  /** Nothing more is read: who writes to a pipe hears of it. */
  close(): void;
}

/** `-` is stdin. Throws the file system's errors as it is read, and those of zlib where it is damaged. */
export function captureBytes(path: string): CaptureBytes {
  const size_bytes = path === '-' ? 0 : statSync(path).size;
  const source: Readable =
    path === '-' ? process.stdin : createReadStream(path, { highWaterMark: CHUNK_BYTES });
  let read_bytes = 0;
  source.on('data', (chunk: Buffer) => {
    read_bytes += chunk.length;
  });
  source.pause();
  const close = () => void source.destroy();
  return { size_bytes, read_bytes: () => read_bytes, chunks: decompressed(source), close };
}

async function* decompressed(source: Readable): AsyncGenerator<Buffer> {
  const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let start: Buffer = Buffer.alloc(0);
  while (start.length < MAGIC_BYTES) {
    const { value, done } = await chunks.next();
    if (done) break;
    start = Buffer.concat([start, value]);
  }
  const all = Readable.from(joined(start, chunks), { objectMode: true });
  const unpack = unpacking(start);
  if (!unpack) {
    yield* all as AsyncIterable<Buffer>;
    return;
  }
  all.on('error', (error) => unpack.destroy(error));
  yield* all.pipe(unpack) as AsyncIterable<Buffer>;
}

/** What is cut off is decompressed as far as it goes. */
function unpacking(start: Buffer) {
  const options = { chunkSize: CHUNK_BYTES };
  if (start.subarray(0, 2).equals(GZIP))
    return createGunzip({ ...options, finishFlush: constants.Z_SYNC_FLUSH });
  if (isZstd(start))
    return createZstdDecompress({ ...options, finishFlush: constants.ZSTD_e_flush });
  return null;
}

async function* joined(start: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  if (start.length > 0) yield start;
  for (;;) {
    const { value, done } = await rest.next();
    if (done) return;
    yield value;
  }
}

/** Of what compresses the capture. */
export function isDamage(error: unknown): boolean {
  const { code = '' } = error as NodeJS.ErrnoException;
  return /^(Z_|ZSTD_)/.test(code);
}
