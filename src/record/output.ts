// SPDX-License-Identifier: Apache-2.0

import {
  closeSync,
  fdatasync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { createFile, existing, openStream, replaceFile } from './create.ts';

/** So long a reader of a pipe may take nothing; meanwhile nothing else is done. */
const PATIENCE_MS = 100;
const UNREAD = 'whoever reads the pipe takes nothing';
const NOTHING = new Int32Array(new SharedArrayBuffer(4));

/** A file that only ever has whole pieces in it, whatever becomes of its disk. */
export class OutputFile {
  readonly path: string;
  /** Length of what was written. */
  bytes = 0;
  /** Why the last attempt to bring it to the disk failed; null where it did not. */
  sync_error: string | null = null;
  readonly #fd: number;
  /** Pipes and devices cannot be cut back. */
  readonly #regular: boolean;
  #syncing = false;
  #closed = false;
  /** The rest of a piece of which a pipe took the beginning. */
  #owed: Uint8Array = new Uint8Array(0);

  /** Creates it; with `force` in place of one that is there. Throws the file system's errors. */
  constructor(path: string, force = false) {
    this.path = path;
    const open = existing(path) === 'stream' ? openStream : force ? replaceFile : createFile;
    this.#fd = open(path);
    this.#regular = fstatSync(this.#fd).isFile();
  }

  /** Whether it has been deleted. */
  get deleted(): boolean {
    return this.#regular && fstatSync(this.#fd).nlink === 0;
  }

  /** Writes all of it, or nothing. Throws the file system's errors, and where a pipe is full. */
  append(piece: Uint8Array): void {
    if (this.#regular) this.#appendWhole(piece);
    else this.#send(piece);
    this.bytes += piece.length;
  }

  #appendWhole(piece: Uint8Array): void {
    let written = 0;
    try {
      while (written < piece.length) {
        const position = this.bytes + written;
        written += writeSync(this.#fd, piece, written, piece.length - written, position);
      }
    } catch (error) {
      if (written > 0) ftruncateSync(this.#fd, this.bytes);
      throw error;
    }
  }

  /** What a pipe took of a piece it has: the rest follows before anything else. */
  #send(piece: Uint8Array): void {
    this.#owed = this.#taken(this.#owed);
    if (this.#owed.length > 0) throw new Error(UNREAD);
    const rest = this.#taken(piece);
    if (rest.length > 0 && rest.length === piece.length) throw new Error(UNREAD);
    this.#owed = rest;
  }

  /** What is left of it where whoever reads takes nothing for a while. */
  #taken(piece: Uint8Array): Uint8Array {
    let rest = piece;
    for (let waited_ms = 0; rest.length > 0; ) {
      try {
        rest = rest.subarray(writeSync(this.#fd, rest));
        waited_ms = 0;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
        if (waited_ms++ === PATIENCE_MS) break;
        Atomics.wait(NOTHING, 0, 0, 1);
      }
    }
    return rest;
  }

  /** Begins to bring it to the disk, unless that is going on already. */
  sync(): void {
    if (this.#syncing || !this.#regular) return;
    this.#syncing = true;
    fdatasync(this.#fd, (error) => {
      this.#syncing = false;
      this.sync_error = error?.message ?? null;
      if (this.#closed) closeSync(this.#fd);
    });
  }

  /** As if it had not been made. */
  discard(): void {
    this.#closed = true;
    closeSync(this.#fd);
    if (this.#regular) rmSync(this.path, { force: true });
  }

  /** Comes back when it is on the disk. Throws the file system's errors; it is closed then too. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      if (this.#regular) fsyncSync(this.#fd);
      else if (this.#taken(this.#owed).length > 0) throw new Error(UNREAD);
    } finally {
      if (!this.#syncing) closeSync(this.#fd);
    }
  }
}
