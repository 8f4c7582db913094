// SPDX-License-Identifier: Apache-2.0

import type { Rotation } from '../record/parts.ts';
import { Recording } from '../record/write.ts';
import { ReaderGone } from '../source/reader-gone.ts';
import type { Source } from '../source/source.ts';
import type { Losses } from '../wire/loss.ts';
import type { Header } from '../wire/types.gen.ts';
import { beginsWithRecord } from '../wire/written.ts';
import type { RecordFlags } from './flags.ts';
import { UsageError } from './usage.ts';

/** What a file begins with that another one went before. */
export interface NextFile {
  header: Header;
  opening: Uint8Array;
}

/** The bytes of the live source on their way to findings, and to the recording of -o where there is one. */
export class Recorder {
  readonly #source: Source;
  readonly #recording: Recording | null;
  #losses: Losses | null = null;
  #part = 1;
  #lost_part: string | null = null;
  #next: NextFile | null = null;

  /** Throws UsageError where the recording cannot be created. */
  constructor(
    source: Source,
    flags: Pick<RecordFlags, 'output' | 'force'>,
    rotation: Rotation | null,
  ) {
    this.#source = source;
    try {
      if (rotation) source.beginParts();
      this.#recording =
        flags.output === null
          ? null
          : new Recording(flags.output, source.header, rotation, flags.force);
    } catch (error) {
      if (error instanceof UsageError || error instanceof ReaderGone) throw error;
      throw new UsageError(`cannot write ${flags.output}: ${(error as Error).message}${asWhom()}`);
    }
  }

  /** The file that cannot be written, and why; null while it can. */
  get trouble(): string | null {
    const recording = this.#recording;
    return recording?.error == null ? this.deleted : `${recording.path}: ${recording.error}`;
  }

  /** What became of a recording that was deleted; null while it is there, or goes on in another file. */
  get deleted(): string | null {
    const recording = this.#recording;
    if (!recording?.deleted || recording.full) return null;
    return `${recording.path} was deleted while it was written: what was recorded is gone`;
  }

  /** A file that was deleted before it was whole, since the last call; the recording goes on in another. */
  takeLostPart(): string | null {
    const part = this.#lost_part;
    this.#lost_part = null;
    return part;
  }

  /** The file in which the recording has gone on since the last call; null: in none. */
  takeNext(): NextFile | null {
    const next = this.#next;
    this.#next = null;
    return next;
  }

  /** Of the file that is being written, as its name has it. */
  get number(): number {
    return this.#recording?.number ?? 0;
  }

  /** All that was told so far is in the file then, where there is room. */
  flush(): void {
    this.#recording?.flush();
    this.#count();
  }

  /** Where it is counted what could not be written. */
  countIn(losses: Losses): void {
    this.#losses = losses;
  }

  begin(): Uint8Array {
    return this.#recorded(this.#source.begin());
  }

  tick(): Uint8Array {
    const full = this.#recording?.full ?? false;
    const chunk = this.#recorded(this.#source.tick(full));
    const forgotten = this.#recording?.takeForgotten() ?? false;
    if (!full && !forgotten) return chunk;
    // Its bytes are there until the source is asked again.
    const told = Buffer.from(chunk);
    if (full) this.#rotate();
    if (forgotten) this.#recording?.write(this.#source.again());
    return told;
  }

  /** Ends the stream, and the recording. */
  end(why: string): Uint8Array {
    const chunk = this.#recorded(this.#source.end(why, this.#lost()));
    this.close();
    return chunk;
  }

  close(): void {
    this.#recording?.close();
    this.#count();
  }

  #recorded(chunk: Uint8Array): Uint8Array {
    if (chunk.length === 0) return chunk;
    this.#recording?.write(chunk, beginsWithRecord(chunk));
    this.#count();
    return chunk;
  }

  #count(): void {
    this.#losses?.add('recording_write_failed', this.#recording?.takeUnwritten() ?? 0);
  }

  #rotate(): void {
    const source = this.#source;
    if (this.#recording?.deleted) this.#lost_part = this.#recording.path;
    const footer = source.footer('rotated', this.#lost());
    const opening = Buffer.concat([source.again(), source.before()]);
    const header = source.headerOf(++this.#part);
    this.#recording?.next(footer, header, opening);
    this.#next = { header, opening };
  }

  #lost(): Record<string, number> {
    const rows = this.#losses?.rows() ?? [];
    return Object.fromEntries(rows.map(({ name, count }) => [name, count]));
  }
}

/** Whose file it was to be, where root gave that up. */
function asWhom(): string {
  const uid = process.geteuid?.() ?? 0;
  return uid === 0 || process.env.SUDO_UID === undefined
    ? ''
    : `. It is written as user ${uid}, who called sudo: into a folder of theirs (cd, then -o NAME), or from a shell of root`;
}

/** Says when the recording cannot be written, and when it can again. */
export function troubleTeller(recorder: Recorder): () => void {
  let said: string | null = null;
  return () => {
    const part = recorder.takeLostPart();
    if (part !== null)
      process.stderr.write(
        `tcpwhy: ${part} was deleted while it was written: the recording goes on in the next file\n`,
      );
    const { trouble, deleted } = recorder;
    if (trouble === said || deleted !== null) return;
    process.stderr.write(
      trouble === null
        ? 'tcpwhy: the recording is written again\n'
        : `tcpwhy: ${trouble}: findings go on, the recording waits until it can be written\n`,
    );
    said = trouble;
  };
}
