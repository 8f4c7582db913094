// SPDX-License-Identifier: Apache-2.0

import { closeSync, fdatasync, fstatSync, fsyncSync, ftruncateSync, writeSync } from 'node:fs';
import { createFile, existing, openStream, replaceFile } from './create.ts';

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

  /** Creates it; with `force` in place of one that is there. Throws the file system's errors. */
  constructor(path: string, force = false) {
    this.path = path;
    const open = existing(path) === 'stream' ? openStream : force ? replaceFile : createFile;
    this.#fd = open(path);
    this.#regular = fstatSync(this.#fd).isFile();
  }

  /** Writes all of it, or nothing. Throws the file system's errors. */
  append(piece: Uint8Array): void {
    let written = 0;
    try {
      while (written < piece.length) {
        const position = this.#regular ? this.bytes + written : null;
        written += writeSync(this.#fd, piece, written, piece.length - written, position);
      }
    } catch (error) {
      if (written > 0 && this.#regular) ftruncateSync(this.#fd, this.bytes);
      throw error;
    }
    this.bytes += piece.length;
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

  /** Comes back when it is on the disk. Throws the file system's errors; it is closed then too. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      if (this.#regular) fsyncSync(this.#fd);
    } finally {
      if (!this.#syncing) closeSync(this.#fd);
    }
  }
}
