// SPDX-License-Identifier: Apache-2.0

import { closeSync, openSync, readSync } from 'node:fs';
import { decodeHeader, UndecodableError } from '../wire/decode.ts';
import { FrameError, FrameReader } from '../wire/frames.ts';
import type { Header } from '../wire/types.gen.ts';

const CHUNK_BYTES = 1 << 20;

/** Newest format that this version understands. */
export const FORMAT = 1;

/** The file is no recording, or a newer version's. */
export class RecordingError extends Error {
  override name = 'RecordingError';
}

export interface RecordingStream {
  header: Header;
  /** The stream after the header, in pieces. */
  chunks: Generator<Uint8Array>;
}

/** Opens a recording. Throws RecordingError, or the file system's errors. */
export function readRecording(path: string): RecordingStream {
  const pieces = fileChunks(path);
  const frames = new FrameReader();
  let read = Buffer.alloc(0);
  for (;;) {
    const piece = pieces.next();
    if (piece.done)
      throw new RecordingError(`${path} is no recording of tcpwhy: it ends within its header`);
    read = Buffer.concat([read, piece.value]);
    const header = firstFrame(path, frames, piece.value);
    if (!header) continue;
    return { header: header.header, chunks: rest(read.subarray(header.end), pieces) };
  }
}

function firstFrame(
  path: string,
  frames: FrameReader,
  piece: Uint8Array,
): { header: Header; end: number } | null {
  const refuse = () =>
    new RecordingError(`${path} is no recording of tcpwhy: it does not begin with a header`);
  try {
    for (const { bytes, at } of frames.push(piece)) {
      const header = decodeHeader(bytes);
      if (header.magic !== 'tcpwhy') throw refuse();
      if (header.format > FORMAT) {
        throw new RecordingError(
          `${path} has format ${header.format}, this version reads up to ${FORMAT}: use a newer tcpwhy`,
        );
      }
      return { header, end: at + prefixLength(bytes.length) + bytes.length };
    }
  } catch (error) {
    if (error instanceof FrameError || error instanceof UndecodableError) throw refuse();
    throw error;
  }
  return null;
}

/** Headers are written with the shortest prefix. */
function prefixLength(length: number): number {
  let bytes = 1;
  for (let rest = length >>> 7; rest > 0; rest >>>= 7) bytes++;
  return bytes;
}

function* rest(first: Uint8Array, pieces: Generator<Uint8Array>): Generator<Uint8Array> {
  if (first.length > 0) yield first;
  yield* pieces;
}

function* fileChunks(path: string): Generator<Uint8Array> {
  const fd = openSync(path, 'r');
  try {
    for (;;) {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      const length = readSync(fd, chunk);
      if (length === 0) return;
      yield chunk.subarray(0, length);
    }
  } finally {
    closeSync(fd);
  }
}
