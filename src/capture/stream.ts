// SPDX-License-Identifier: Apache-2.0

import type { Piece } from '../record/messages.ts';
import type { Stream } from '../record/stream.ts';
import type { Header } from '../wire/types.gen.ts';
import { Capture } from './capture.ts';
import { type CaptureBytes, captureBytes, isDamage } from './read.ts';

/** So many bytes are told of at once: what is played goes on by that. */
const SLICE_BYTES = 16 << 10;

/** A capture as a recording is read: what its packets prove, in bounded memory. Read to its end, or closed. */
export class CapturedStream implements Stream {
  readonly path: string;
  readonly header: Header;
  readonly size_bytes: number;
  readonly #bytes: CaptureBytes;
  readonly #messages: AsyncGenerator<Uint8Array>;
  /** What was read until it was known when it began. */
  readonly #first: Uint8Array[];

  private constructor(
    path: string,
    header: Header,
    bytes: CaptureBytes,
    messages: AsyncGenerator<Uint8Array>,
    first: Uint8Array[],
  ) {
    this.path = path;
    this.header = header;
    this.size_bytes = bytes.size_bytes;
    this.#bytes = bytes;
    this.#messages = messages;
    this.#first = first;
  }

  /** Throws with `code` ENOCAPTURE where it is none, and the file system's errors. */
  static async open(path: string): Promise<CapturedStream> {
    const capture = new Capture(path);
    const bytes = captureBytes(path);
    const messages = messagesOf(capture, bytes);
    const first: Uint8Array[] = [];
    while (!capture.begun) {
      const next = await messages.next();
      if (next.done) break;
      first.push(next.value);
    }
    return new CapturedStream(path, capture.header(), bytes, messages, first);
  }

  get read_bytes(): number {
    return this.#bytes.read_bytes();
  }

  get used_bytes(): number {
    return this.read_bytes;
  }

  async *pieces(): AsyncGenerator<Piece> {
    for (const messages of this.#first) yield { messages, damage: null };
    for await (const messages of this.#messages) yield { messages, damage: null };
  }

  async close(): Promise<void> {
    await this.#messages.return(undefined);
  }
}

async function* messagesOf(capture: Capture, { chunks }: CaptureBytes): AsyncGenerator<Uint8Array> {
  let cut = false;
  try {
    for await (const chunk of chunks) yield* capture.pushed(chunk, SLICE_BYTES);
  } catch (error) {
    if (!isDamage(error)) throw error;
    cut = true;
  }
  yield capture.end(cut);
}
