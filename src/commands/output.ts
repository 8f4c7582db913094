// SPDX-License-Identifier: Apache-2.0

import { once } from 'node:events';
import { createWriteStream, realpathSync, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { UsageError } from './options.ts';

const BATCH_BYTES = 256 << 10;

/**
 * Where a command writes a file: under another name until it is whole, or straight to stdout or to
 * what is no regular file. To be flushed often: what was written waits in memory until then.
 */
export class Output {
  readonly #path: string;
  readonly #stream: Writable;
  /** The name until it is whole; null where it is written in place. */
  readonly #partial: string | null;
  #batch: Uint8Array[] = [];
  #bytes = 0;
  #failure: Error | null = null;

  private constructor(path: string, stream: Writable, partial: string | null) {
    this.#path = path;
    this.#stream = stream;
    this.#partial = partial;
    stream.on('error', (error) => {
      this.#failure = error;
    });
  }

  /** `-` is stdout. Throws UsageError where the file cannot be created. */
  static async open(path: string, input: string): Promise<Output> {
    if (path === '-') return new Output('stdout', process.stdout, null);
    const existing = statSync(path, { throwIfNoEntry: false });
    if (existing && sameFile(path, input)) {
      throw new UsageError(`${path} is the recording itself: give -o another name`);
    }
    const inPlace = existing !== undefined && !existing.isFile();
    // A link stays one.
    const target = existing ? realpathSync(path) : path;
    const partial = inPlace ? null : `${target}.${process.pid}.part`;
    try {
      const stream = createWriteStream(partial ?? target, { mode: 0o600 });
      await once(stream, 'open');
      return new Output(target, stream, partial);
    } catch (error) {
      throw cannotWrite(path, error);
    }
  }

  write(data: string | Uint8Array): void {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    this.#batch.push(bytes);
    this.#bytes += bytes.length;
  }

  /** Waits until what was written is taken. Throws UsageError where it is not. */
  async flush(all = false): Promise<void> {
    if (this.#bytes === 0 || (this.#bytes < BATCH_BYTES && !all)) return;
    const bytes = Buffer.concat(this.#batch, this.#bytes);
    this.#batch = [];
    this.#bytes = 0;
    try {
      if (this.#failure) throw this.#failure;
      if (!this.#stream.write(bytes)) await once(this.#stream, 'drain');
    } catch (error) {
      throw cannotWrite(this.#path, error);
    }
  }

  /** It is whole: it gets its name. Throws UsageError where what is left cannot be written. */
  async finish(): Promise<void> {
    await this.flush(true);
    if (this.#stream === process.stdout) return;
    try {
      await finished(this.#stream.end());
      if (!this.#partial) return;
      const file = await open(this.#partial);
      await file.sync();
      await file.close();
      await rename(this.#partial, this.#path);
    } catch (error) {
      throw cannotWrite(this.#path, error);
    }
  }

  /** It will not become whole: nothing of it is left. */
  async discard(): Promise<void> {
    if (this.#stream !== process.stdout) this.#stream.destroy();
    if (this.#partial) await rm(this.#partial, { force: true });
  }
}

function sameFile(a: string, b: string): boolean {
  const [one, other] = [statSync(a), statSync(b, { throwIfNoEntry: false })];
  return one.dev === other?.dev && one.ino === other.ino;
}

function cannotWrite(path: string, error: unknown): UsageError {
  const { code, message } = error as NodeJS.ErrnoException;
  const what = code === 'ENOSPC' ? ': make room, or give -o a name on another disk' : '';
  return new UsageError(`cannot write ${path}: ${message}${what}`);
}
