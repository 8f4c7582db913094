// SPDX-License-Identifier: Apache-2.0

import { type FileHandle, open } from 'node:fs/promises';
import { decodeHeader, UndecodableError } from '../wire/decode.ts';
import { readLength } from '../wire/frames.ts';
import type { Header } from '../wire/types.gen.ts';
import { CUT_OFF, GIVEN_UP, MessageReader, type Piece } from './messages.ts';
import type { Stream } from './stream.ts';
import { decompressed, isZstd } from './zstd.ts';

const CHUNK_BYTES = 1 << 20;

/** Of which nothing can be read: more is a device without end, or was made to take long. */
const MOST_LOST_BYTES = 256 << 20;

/** Newest format that this version understands. */
export const FORMAT = 1;

/** The file is no recording, or a newer version's. */
export class RecordingError extends Error {
  override name = 'RecordingError';
}

/** A recording as it is read, compressed or not, in bounded memory. Read to its end, or closed. */
export class RecordedStream implements Stream {
  readonly path: string;
  readonly header: Header;
  readonly size_bytes: number;
  readonly #file: CountedFile;
  readonly #pieces: AsyncGenerator<Piece>;
  #first: Piece | null;

  private constructor(
    file: CountedFile,
    header: Header,
    first: Piece,
    pieces: AsyncGenerator<Piece>,
  ) {
    this.path = file.path;
    this.size_bytes = file.size_bytes;
    this.header = header;
    this.#file = file;
    this.#first = first;
    this.#pieces = pieces;
  }

  /** Opens a recording and reads its header. Throws RecordingError, or the file system's errors. */
  static async open(path: string): Promise<RecordedStream> {
    const file = await CountedFile.open(path);
    try {
      const pieces = piecesOf(file);
      const first = await pieces.next();
      if (first.done) throw noHeader(path, 'it ends within its header');
      const { header, end } = headerOf(path, first.value);
      const messages = first.value.messages.subarray(end);
      return new RecordedStream(file, header, { ...first.value, messages }, pieces);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Bytes of the file that were read so far. */
  get read_bytes(): number {
    return this.#file.read_bytes;
  }

  /** Bytes of the file that all is in which was handed on so far. */
  get used_bytes(): number {
    return this.#file.used_bytes;
  }

  /** The messages after the header, in pieces. Can be gone through once. */
  async *pieces(): AsyncGenerator<Piece> {
    try {
      if (this.#first) yield this.#first;
      this.#first = null;
      yield* this.#pieces;
    } finally {
      await this.close();
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** Where there are no messages at all, the first piece says why. */
function headerOf(path: string, { messages, damage }: Piece): { header: Header; end: number } {
  const prefix = readLength(messages, 0, 0);
  if (!prefix) {
    const { what, bytes } = damage ?? { what: CUT_OFF, bytes: 0 };
    throw noHeader(
      path,
      what === CUT_OFF || bytes === 0
        ? 'it ends within its header'
        : `it does not begin with a header: ${what}`,
    );
  }
  const end = prefix.end + prefix.length;
  const header = decoded(path, messages.subarray(prefix.end, end));
  if (header.magic !== 'tcpwhy') throw noHeader(path, 'it does not begin with a header');
  if (header.format > FORMAT) {
    throw new RecordingError(
      `${path} has format ${header.format}, this version reads up to ${FORMAT}: use a newer tcpwhy`,
    );
  }
  return { header, end };
}

function decoded(path: string, bytes: Uint8Array): Header {
  try {
    return decodeHeader(bytes);
  } catch (error) {
    if (error instanceof UndecodableError) throw noHeader(path, 'it does not begin with a header');
    throw error;
  }
}

function noHeader(path: string, why: string): RecordingError {
  return new RecordingError(`${path} is no recording of tcpwhy: ${why}`);
}

async function* piecesOf(file: CountedFile): AsyncGenerator<Piece> {
  const reader = new MessageReader();
  for await (const content of await contentOf(file)) {
    yield* content instanceof Uint8Array ? reader.push(content) : reader.gap(content);
    if (reader.lost_bytes > MOST_LOST_BYTES) return yield* reader.end(GIVEN_UP);
  }
  yield* reader.end();
}

async function contentOf(file: CountedFile) {
  const chunks = file.chunks();
  const first = await chunks.next();
  async function* all() {
    if (!first.done) yield first.value;
    yield* chunks;
  }
  async function* plain() {
    for await (const chunk of all()) {
      file.used_bytes = file.read_bytes;
      yield chunk;
    }
  }
  const used = (bytes: number) => {
    file.used_bytes = bytes;
  };
  return !first.done && isZstd(first.value) ? decompressed(all(), used) : plain();
}

class CountedFile {
  readonly path: string;
  readonly size_bytes: number;
  read_bytes = 0;
  used_bytes = 0;
  readonly #handle: FileHandle;
  #open = true;

  private constructor(path: string, handle: FileHandle, size_bytes: number) {
    this.path = path;
    this.#handle = handle;
    this.size_bytes = size_bytes;
  }

  static async open(path: string): Promise<CountedFile> {
    const handle = await open(path, 'r');
    return new CountedFile(path, handle, (await handle.stat()).size);
  }

  /** Each is there until the next one is asked for. */
  async *chunks(): AsyncGenerator<Buffer> {
    const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await this.#handle.read(chunk, 0, CHUNK_BYTES);
      if (bytesRead === 0) return;
      this.read_bytes += bytesRead;
      yield chunk.subarray(0, bytesRead);
    }
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#handle.close();
  }
}
