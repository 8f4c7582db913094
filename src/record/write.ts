// SPDX-License-Identifier: Apache-2.0

import { constants, zstdCompressSync } from 'node:zlib';
import { encodeEvent, encodeHeader } from '../wire/decode.ts';
import { FrameReader } from '../wire/frames.ts';
import type { Header } from '../wire/types.gen.ts';
import { Checksum } from './check.ts';
import { OutputFile } from './output.ts';
import { partNumbers, partPath, prune, type Rotation } from './parts.ts';

/** With the tick that comes after it, less than the second that may be lost. */
const WRITE_EVERY_MS = 700;
/** The same while nothing happens: what may be lost then is that nothing did. */
const WRITE_QUIET_EVERY_MS = 10_000;
/** Within that time all has been told of what happened: facts, and the totals of the next second. */
const TOLD_WITHIN_MS = 3000;
const BATCH_BYTES = 1 << 20;
/** What waits for room at the most. */
const MAX_WAITING_BYTES = 16 << 20;
/** For the counters at the end. */
const FOOTER_BYTES = 16 << 10;
const ZSTD = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };

/** A recording as it grows: one file, or one after the other. */
export class Recording {
  /** Why it cannot be written; null while it can. */
  error: string | null = null;
  readonly #path: string;
  readonly #rotation: Rotation | null;
  readonly #compressed: boolean;
  readonly #force: boolean;
  #number = 0;
  #file: OutputFile | null = null;
  #opened_at_ms = 0;
  #written_at_ms = 0;
  #happened_at_ms = 0;
  #waiting: Uint8Array[] = [];
  #waiting_bytes = 0;
  /** Messages that found no room: since that was last told, and since it was last recorded. */
  #unwritten = 0;
  #unrecorded = 0;
  #forgotten = false;
  #deleted = false;

  /**
   * Creates the file and writes the header; with `force` in place of a file that is there. Throws the file
   * system's errors.
   */
  constructor(path: string, header: Header, rotation: Rotation | null = null, force = false) {
    this.#path = path;
    this.#force = force;
    this.#rotation = rotation;
    this.#compressed = path.endsWith('.zst');
    if (rotation) this.#number = (partNumbers(path).at(-1) ?? 0) + 1;
    this.#open();
    this.#waiting = [encodeHeader(header)];
    this.flush();
    if (this.error === null || rotation?.waits) return;
    this.#file?.discard();
    throw new Error(this.error);
  }

  /** The file that is being written. */
  get path(): string {
    return this.#rotation ? partPath(this.#path, this.#number) : this.#path;
  }

  /** Of the file that is being written, as its name has it; 0: it is the only one. */
  get number(): number {
    return this.#number;
  }

  /**
   * A chunk that ends with a whole message; its bytes may change after. Never throws: what finds no room is
   * counted. `happened`: something did, by what is in it.
   */
  write(chunk: Uint8Array, happened = true): void {
    const most = this.error === null ? BATCH_BYTES : MAX_WAITING_BYTES;
    if (this.#waiting_bytes + chunk.length > most) this.flush();
    if (this.error !== null && this.#waiting_bytes + chunk.length > MAX_WAITING_BYTES) {
      this.#refuse(chunk);
    } else {
      if (this.#unrecorded > 0) this.#add(lossOf(this.#unrecorded));
      this.#unrecorded = 0;
      this.#add(Buffer.from(chunk));
    }
    const now_ms = performance.now();
    if (happened) this.#happened_at_ms = now_ms;
    const isQuiet = this.error === null && now_ms - this.#happened_at_ms > TOLD_WITHIN_MS;
    const every_ms = isQuiet ? WRITE_QUIET_EVERY_MS : WRITE_EVERY_MS;
    if (now_ms - this.#written_at_ms >= every_ms) this.flush();
  }

  /** Whether facts may have been among what was lost, and there is room again to tell them. */
  takeForgotten(): boolean {
    const forgotten = this.#forgotten && this.error === null;
    if (forgotten) this.#forgotten = false;
    return forgotten;
  }

  /** Messages that were lost since the last call. */
  takeUnwritten(): number {
    const unwritten = this.#unwritten;
    this.#unwritten = 0;
    return unwritten;
  }

  /** Whether it is time for another file. While this one cannot be written there is no use in one. */
  get full(): boolean {
    if (!this.#rotation || !this.#file || this.error !== null) return false;
    if (this.#deleted) return true;
    const { max_bytes, max_age_ms } = this.#rotation;
    if (max_age_ms !== null && performance.now() - this.#opened_at_ms >= max_age_ms) return true;
    const waiting = this.#compressed ? 0 : this.#waiting_bytes;
    return max_bytes !== null && this.#file.bytes + waiting + FOOTER_BYTES >= max_bytes;
  }

  /** Whether the file that is being written was deleted: what was in it is gone. */
  get deleted(): boolean {
    return this.#deleted;
  }

  /** Ends this file with `footer`, and goes on in the next. */
  next(footer: Uint8Array, header: Header, opening: Uint8Array): void {
    if (!this.#rotation) return;
    this.#add(footer);
    this.#closeFile();
    this.#number++;
    try {
      prune(this.#path, this.#rotation);
    } catch (error) {
      this.error = messageOf(error);
    }
    this.#add(encodeHeader(header));
    this.#add(opening);
    this.flush();
  }

  /** Writes what waits. What finds no room by now is lost, and counted. */
  close(): void {
    this.#closeFile();
  }

  #closeFile(): void {
    if (!this.#file) return;
    this.flush();
    this.#deleted = false;
    for (const chunk of this.#waiting) this.#refuse(chunk);
    this.#waiting = [];
    this.#waiting_bytes = 0;
    try {
      this.#file.close();
    } catch (error) {
      this.error = messageOf(error);
    }
    this.#file = null;
  }

  #open(): void {
    this.#file = this.#rotation ? this.#nextFile() : new OutputFile(this.path, this.#force);
    this.#opened_at_ms = performance.now();
    this.#deleted = false;
  }

  /** Under the next number that is free: whatever has it already is left alone. */
  #nextFile(): OutputFile {
    for (;;) {
      try {
        return new OutputFile(this.path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        this.#number++;
      }
    }
  }

  #add(chunk: Uint8Array): void {
    this.#waiting.push(chunk);
    this.#waiting_bytes += chunk.length;
  }

  #refuse(chunk: Uint8Array): void {
    const messages = [...new FrameReader().push(chunk)].length;
    this.#unwritten += messages;
    this.#unrecorded += messages;
    this.#forgotten = true;
  }

  /** Writes what waits, as far as there is room. */
  flush(): void {
    this.#written_at_ms = performance.now();
    try {
      if (!this.#file) this.#open();
      while (this.#file && this.#waiting.length > 0) this.#writeBatch(this.#file);
      this.error = this.#file?.sync_error ?? null;
      this.#deleted = this.#file?.deleted ?? false;
      this.#file?.sync();
    } catch (error) {
      this.error = messageOf(error);
    }
  }

  /** As many chunks as make a batch, and their check: all of it, or nothing. */
  #writeBatch(file: OutputFile): void {
    let count = 0;
    let bytes = 0;
    for (; count === 0 || (count < this.#waiting.length && bytes < BATCH_BYTES); count++)
      bytes += this.#waiting[count]?.length ?? 0;
    const chunks = this.#waiting.slice(0, count);
    const sum = new Checksum();
    for (const chunk of chunks) sum.add(chunk);
    const batch = Buffer.concat([...chunks, sum.take()]);
    file.append(this.#compressed ? zstdCompressSync(batch, ZSTD) : batch);
    this.#waiting = this.#waiting.slice(count);
    this.#waiting_bytes -= bytes;
  }
}

function lossOf(count: number): Uint8Array {
  return encodeEvent({ tick: { lost: [{ name: 'recording_write_failed', count }] } });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
