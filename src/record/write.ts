// SPDX-License-Identifier: Apache-2.0

import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { encodeHeader } from '../wire/decode.ts';
import type { Header } from '../wire/types.gen.ts';

const SYNC_EVERY_MS = 1000;

/** A recording as it grows: the header, then the stream as it comes. */
export class Recording {
  readonly path: string;
  /** Bytes that could not be written, and why: a full disk says so once and tries on. */
  failed = 0;
  error: string | null = null;
  readonly #fd: number;
  #pending: Uint8Array[] = [];
  #synced_at_ms = 0;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  /** Creates the file and writes the header. Throws the file system's errors. */
  static create(path: string, header: Header): Recording {
    const recording = new Recording(path, openSync(path, 'w', 0o600));
    recording.#writeAll(encodeHeader(header));
    return recording;
  }

  /** A chunk that ends with a whole message. Never throws: what finds no room is counted. */
  write(chunk: Uint8Array): void {
    this.#pending.push(chunk);
    try {
      while (this.#pending[0]) {
        this.#writeAll(this.#pending[0]);
        this.#pending.shift();
      }
      this.error = null;
      this.#sync();
    } catch (error) {
      this.error = error instanceof Error ? error.message : String(error);
      this.#shed();
    }
  }

  close(): void {
    try {
      fsyncSync(this.#fd);
    } catch (error) {
      this.error = error instanceof Error ? error.message : String(error);
    }
    closeSync(this.#fd);
  }

  #writeAll(bytes: Uint8Array): void {
    let from = 0;
    while (from < bytes.length) {
      try {
        from += writeSync(this.#fd, bytes, from);
      } catch (error) {
        // A message cut in two would end the recording for its reader: keep the rest of the chunk.
        if (from > 0) this.#pending[0] = bytes.subarray(from);
        throw error;
      }
    }
  }

  /** Bounds what waits for room: the newest chunks go, the one that is partly written stays. */
  #shed(): void {
    let waiting = this.#pending.reduce((sum, { length }) => sum + length, 0);
    while (waiting > MAX_WAITING && this.#pending.length > 1) {
      const { length } = this.#pending.pop() as Uint8Array;
      waiting -= length;
      this.failed += length;
    }
  }

  #sync(): void {
    const now = performance.now();
    if (now - this.#synced_at_ms < SYNC_EVERY_MS) return;
    this.#synced_at_ms = now;
    fsyncSync(this.#fd);
  }
}

const MAX_WAITING = 16 << 20;
