// SPDX-License-Identifier: Apache-2.0

import { statSync } from 'node:fs';
import { CapturedStream } from '../capture/stream.ts';
import { Narrowed } from '../diagnose/narrowed.ts';
import type { Damage } from '../record/messages.ts';
import { RecordedStream, RecordingError } from '../record/read.ts';
import type { Stream } from '../record/stream.ts';
import { printable } from '../sinks/printable.ts';
import { type Filter, filterText, matcher } from '../source/filter.ts';
import { factOf } from '../texts/stream.ts';
import type { Losses } from '../wire/loss.ts';
import type { CauseTold, Header } from '../wire/types.gen.ts';
import { UsageError } from './usage.ts';

/** Places of damage that are told one by one. */
const MOST_TOLD = 10;

/** Throws UsageError, which says what is wrong with the file. */
export async function openRecording(file: string): Promise<RecordedStream> {
  try {
    return await RecordedStream.open(file);
  } catch (error) {
    if (error instanceof RecordingError) throw new UsageError(error.message);
    throw cannotRead(file, error);
  }
}

/**
 * A recording, or a capture as one, into which `told` goes: what counters and a log say that were given with it.
 * Throws UsageError.
 */
export async function openStream(file: string, told: readonly CauseTold[] = []): Promise<Stream> {
  if (statSync(file, { throwIfNoEntry: false })?.isFIFO())
    throw new UsageError(
      `${file} is a pipe, and what is in it is read more than once here: write it to a file first, or use tcpwhy explain`,
    );
  try {
    return await RecordedStream.open(file);
  } catch (error) {
    if (!(error instanceof RecordingError)) throw cannotRead(file, error);
    try {
      return withTold(await CapturedStream.open(file), told);
    } catch (other) {
      if ((other as NodeJS.ErrnoException).code === 'ENOCAPTURE')
        throw new UsageError(`${error.message}; and no capture (pcap or pcapng)`);
      throw cannotRead(file, other);
    }
  }
}

function withTold(stream: Stream, told: readonly CauseTold[]): Stream {
  if (told.length === 0) return stream;
  const pieces = stream.pieces.bind(stream);
  stream.pieces = async function* () {
    yield { messages: factOf(told), damage: null };
    yield* pieces();
  };
  return stream;
}

function cannotRead(file: string, error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined || code === 'ENOADDON') return error;
  return new UsageError(`cannot read ${file}: ${message}`);
}

/** Null where the filter lets everything through. One for each file. */
export function narrowedTo(filter: Filter): Narrowed | null {
  return filterText(filter).length > 0 ? new Narrowed(matcher(filter)) : null;
}

/** With what is asked for of the recording, besides what was watched. */
export function headerFor(header: Header, filter: Filter): Header {
  return { ...header, filters: [...header.filters, ...filterText(filter)] };
}

/** Says on stderr where a recording is damaged, and counts it as lost. */
export class DamageReport {
  readonly #file: string;
  readonly #losses: Losses;
  readonly #write: (text: string) => void;
  #count = 0;

  constructor(
    file: string,
    losses: Losses,
    write: (text: string) => void = (text) => process.stderr.write(text),
  ) {
    this.#file = printable(file);
    this.#losses = losses;
    this.#write = write;
  }

  add({ at, bytes, what }: Damage): void {
    this.#losses.add(bytes > 0 ? 'recording_damaged' : 'recording_cut_off', Math.max(1, bytes));
    if (++this.#count > MOST_TOLD) return;
    const size = bytes > 0 ? `${bytes} bytes ` : '';
    this.#say(`${size}at byte ${at}: ${what}`);
  }

  end(): void {
    if (this.#count > MOST_TOLD) this.#say(`damaged at ${this.#count - MOST_TOLD} more places`);
    if (this.#count > 0) this.#say('what could be read of it is shown');
  }

  #say(text: string): void {
    this.#write(`tcpwhy: ${this.#file}: ${text}\n`);
  }
}
