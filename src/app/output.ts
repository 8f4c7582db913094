// SPDX-License-Identifier: Apache-2.0

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, fsyncSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { createFile, existing, openStream, refusal } from '../record/create.ts';
import { UsageError } from './usage.ts';

const BATCH_BYTES = 256 << 10;

/**
 * Where a command writes a file, a batch at a time: under another name until it is whole, or straight
 * to what is no regular file. Throws UsageError where it cannot be written.
 */
export class Output {
  readonly #path: string;
  /** Null for stdout. */
  #fd: number | null;
  /** The name until it is whole; null where it is written in place. */
  #partial: string | null;
  #batch: Uint8Array[] = [];
  #bytes = 0;
  /** What comes after that: many texts become bytes together. */
  #text = '';

  readonly #force: boolean;

  private constructor(path: string, fd: number | null, partial: string | null, force = false) {
    this.#path = path;
    this.#force = force;
    this.#fd = fd;
    this.#partial = partial;
  }

  /** `-` is stdout. Refuses to write over one of `inputs`, and without `force` over any file. */
  static open(path: string, inputs: readonly string[], force = false): Output {
    if (path === '-') return new Output('stdout', null, null);
    try {
      if (inputs.some((input) => sameFile(path, input))) {
        throw new UsageError(`${path} is the recording itself: give -o another name`);
      }
      if (existing(path) === 'stream') return new Output(path, openStream(path, true), null);
      const why = refusal(path, force);
      if (why !== null) throw new UsageError(why);
      const partial = `${path}.${randomBytes(4).toString('hex')}.part`;
      return new Output(path, createFile(partial), partial, force);
    } catch (error) {
      throw cannotWrite(path, error);
    }
  }

  write(data: string | Uint8Array): void {
    if (typeof data === 'string') {
      this.#text += data;
      if (this.#bytes + this.#text.length >= BATCH_BYTES) this.#writeBatch();
      return;
    }
    this.#addText();
    this.#add(data);
    if (this.#bytes >= BATCH_BYTES) this.#writeBatch();
  }

  #addText(): void {
    if (this.#text !== '') this.#add(Buffer.from(this.#text));
    this.#text = '';
  }

  #add(bytes: Uint8Array): void {
    this.#batch.push(bytes);
    this.#bytes += bytes.length;
  }

  /** Where stdout is not written at once, waits until it was. */
  async drained(): Promise<void> {
    if (this.#fd === null && process.stdout.writableNeedDrain) await once(process.stdout, 'drain');
  }

  /** It is whole: it gets its name. */
  finish(): void {
    this.#writeBatch();
    if (this.#partial === null || this.#fd === null) return;
    try {
      fsyncSync(this.#fd);
      const why = refusal(this.#path, this.#force);
      if (why !== null) throw new UsageError(why);
      renameSync(this.#partial, this.#path);
      this.#partial = null;
    } catch (error) {
      throw cannotWrite(this.#path, error);
    }
  }

  /** What is not whole by now goes away. */
  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
    if (this.#partial !== null) rmSync(this.#partial, { force: true });
  }

  #writeBatch(): void {
    this.#addText();
    const bytes = Buffer.concat(this.#batch, this.#bytes);
    this.#batch = [];
    this.#bytes = 0;
    if (this.#fd === null) {
      process.stdout.write(bytes);
      return;
    }
    try {
      for (let from = 0; from < bytes.length; ) from += writeSync(this.#fd, bytes, from);
    } catch (error) {
      throw cannotWrite(this.#path, error);
    }
  }
}

/** Before there is anything to write: throws UsageError where a file is there by that name. */
export function refuseExisting(path: string | null, force: boolean): void {
  const why = path === null ? null : refusal(path, force);
  if (why !== null) throw new UsageError(why);
}

/** A text, whole or not at all. Throws UsageError where it cannot be written. */
export function saveAs(
  path: string,
  text: string,
  { inputs = [], force }: { inputs?: readonly string[]; force: boolean },
): void {
  const output = Output.open(path, inputs, force);
  try {
    output.write(text);
    output.finish();
  } finally {
    output.close();
  }
}

function sameFile(a: string, b: string): boolean {
  const [one, other] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }));
  return one !== undefined && one.dev === other?.dev && one.ino === other.ino;
}

function cannotWrite(path: string, error: unknown): Error {
  if (error instanceof UsageError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const advice = code === 'ENOSPC' ? ': make room, or give -o a name on another disk' : '';
  return new UsageError(`cannot write ${path}: ${message}${advice}`);
}
