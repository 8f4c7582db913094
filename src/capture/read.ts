// SPDX-License-Identifier: Apache-2.0

import { createReadStream, constants as files, lstatSync, openSync, statSync } from 'node:fs';
import { Socket } from 'node:net';
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
  /** Somebody writes it, who may take time. */
  waits: boolean;
  /** Of the file, so far. */
  read_bytes(): number;
  chunks: AsyncIterable<Buffer>;
  /** Nothing more is read: who writes to a pipe hears of it. */
  close(): void;
}

/** `-` is stdin. Throws the file system's errors as it is read, and those of zlib where it is damaged. */
export function captureBytes(path: string): CaptureBytes {
  const size_bytes = path === '-' ? 0 : statSync(path).size;
  const pipe = path === '-' ? process.stdin : pipeAt(path);
  const source: Readable = pipe ?? createReadStream(path, { highWaterMark: CHUNK_BYTES });
  let read_bytes = 0;
  source.on('data', (chunk: Buffer) => {
    read_bytes += chunk.length;
  });
  source.pause();
  const close = () => void source.destroy();
  const chunks = decompressed(source);
  return { size_bytes, waits: pipe !== null, read_bytes: () => read_bytes, chunks, close };
}

/** What the shell has for `<(…)`. */
const INHERITED = /^\/(?:dev|proc\/self)\/fd\/(\d+)$/;

/**
 * Null where there is none. What nobody writes to is waited for without a thread: a process does not end before its
 * threads do. Whether an inherited one has ended shows only at what was inherited.
 */
function pipeAt(path: string): Socket | null {
  const inherited = INHERITED.exec(path)?.[1];
  const isPipe = inherited ? statSync(path).isFIFO() : lstatSync(path).isFIFO();
  if (!isPipe) return null;
  const fd = inherited ? Number(inherited) : openSync(path, files.O_RDONLY | files.O_NONBLOCK);
  return new Socket({ fd, readable: true, writable: false });
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
  yield* (unpack ? unpacked(all, unpack) : all) as AsyncIterable<Buffer>;
}

/** Where an error comes, what was decompressed and not taken is lost: little of it is made at once. */
const UNPACKED_BYTES = 64 << 10;

function unpacking(start: Buffer) {
  const options = { chunkSize: UNPACKED_BYTES };
  if (start.subarray(0, 2).equals(GZIP))
    return { stream: createGunzip(options), flush: constants.Z_SYNC_FLUSH };
  if (isZstd(start))
    return { stream: createZstdDecompress(options), flush: constants.ZSTD_e_flush };
  return null;
}

/** What is cut off is decompressed as far as it goes: that it ends there is said only when all before was taken. */
async function* unpacked(
  packed: Readable,
  { stream, flush }: NonNullable<ReturnType<typeof unpacking>>,
): AsyncGenerator<Buffer> {
  let flushed = false;
  const endIfTaken = () => {
    if (flushed && stream.readableLength === 0) stream.end();
  };
  packed.on('error', (error) => stream.destroy(error));
  packed.on('end', () =>
    stream.flush(flush, () => {
      flushed = true;
      endIfTaken();
    }),
  );
  packed.pipe(stream, { end: false });
  for await (const chunk of stream) {
    yield chunk;
    endIfTaken();
  }
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
