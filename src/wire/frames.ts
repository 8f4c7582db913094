// SPDX-License-Identifier: Apache-2.0

/** A length-delimited message, and where it lies in the stream. */
export interface Frame {
  bytes: Uint8Array;
  /** Offset of its length prefix. */
  at: number;
}

/** No event of ours is larger; a longer length means damage. */
export const MAX_FRAME_BYTES = 1 << 20;

/** A length prefix that no message can have. */
export class FrameError extends Error {
  override name = 'FrameError';
  /** Offset in the stream of the prefix that makes no sense. */
  readonly at: number;

  constructor(at: number, reason: string) {
    super(reason);
    this.at = at;
  }
}

/** Cuts a stream, in pieces of any size, into its messages. */
export class FrameReader {
  #rest: Uint8Array = new Uint8Array(0);
  #at = 0;

  /** Messages that are whole by now. Throws FrameError; what came before it was yielded. */
  *push(chunk: Uint8Array): Generator<Frame> {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let from = 0;
    try {
      for (;;) {
        const prefix = readLength(bytes, from, this.#at + from);
        if (!prefix || prefix.end + prefix.length > bytes.length) break;
        const end = prefix.end + prefix.length;
        const frame = { bytes: bytes.subarray(prefix.end, end), at: this.#at + from };
        from = end;
        yield frame;
      }
    } finally {
      // A copy: the chunk's bytes may be another's when the next one comes.
      this.#rest = new Uint8Array(bytes.subarray(from));
      this.#at += from;
    }
  }

  /** So many bytes of whole messages were read by another: only where `rest` has none. */
  skip(bytes: number): void {
    this.#at += bytes;
  }

  /** Bytes of a message that never became whole, and where it began. */
  get rest(): { bytes: number; at: number } {
    return { bytes: this.#rest.length, at: this.#at };
  }
}

/** The length at `from`, and where its message begins; null where more bytes are needed. Throws FrameError, with `at`. */
export function readLength(
  bytes: Uint8Array,
  from: number,
  at: number,
): { length: number; end: number } | null {
  let length = 0;
  for (let i = 0; i < 5; i++) {
    const byte = bytes[from + i];
    if (byte === undefined) return null;
    length += (byte & 0x7f) * 2 ** (7 * i);
    if (byte >= 0x80) continue;
    if (length > MAX_FRAME_BYTES) throw new FrameError(at, `a message of ${length} bytes`);
    return { length, end: from + i + 1 };
  }
  throw new FrameError(at, 'no length of a message');
}
