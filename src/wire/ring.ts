// SPDX-License-Identifier: Apache-2.0

import type { Words } from './words.ts';

/** Words: 32 MiB. */
const SIZE = 1 << 23;
/** What is taken next overwrites nothing that was taken just now. */
const LONGEST = SIZE / 2;

/**
 * The newest bytes of a stream, for what may be asked for later. A position counts words since the
 * beginning; it is there until so much came after it.
 */
export class Ring {
  /** Made when it is needed: most streams hold nothing that is asked for later. */
  words: Words = new Int32Array(0);
  #bytes: Uint8Array = new Uint8Array(0);
  #end = 0;
  /** Position of the first word of `words`, and where in it the newest end. */
  #lap = 0;
  #last = 0;

  /** A copy, aligned; null where it is too long. Its position is that of its first word. */
  take(bytes: Uint8Array): Uint8Array | null {
    const length = (bytes.length + 3) >>> 2;
    if (length > LONGEST) return null;
    if (this.words.length === 0) {
      this.words = new Int32Array(SIZE);
      this.#bytes = new Uint8Array(this.words.buffer);
    }
    let at = this.#end % SIZE;
    if (at + length > SIZE) {
      this.#end += SIZE - at;
      at = 0;
    }
    this.#end += length;
    this.#lap = this.#end - at - length;
    this.#last = at + length;
    this.#bytes.set(bytes, 4 * at);
    return this.#bytes.subarray(4 * at, 4 * at + bytes.length);
  }

  /** The position of the word at `at` of `words`, as long as that is the newest there. */
  position(at: number): number {
    return at < this.#last ? this.#lap + at : this.#lap + at - SIZE;
  }

  /** Where in `words` that position is; -1 where it was overwritten. */
  at(position: number): number {
    return position < this.#end - SIZE ? -1 : position % SIZE;
  }
}
