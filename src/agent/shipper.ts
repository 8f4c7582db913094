// SPDX-License-Identifier: Apache-2.0

import { setTimeout as sleep } from 'node:timers/promises';
import { partNumbers, partPath } from '../record/parts.ts';
import { RecordingError } from '../record/read.ts';
import { backoff_ms } from './backoff.ts';
import type { ExportCounters } from './counters.ts';
import { type Cursor, readCursor, writeCursor } from './cursor.ts';
import { type Delivery, pause } from './delivery.ts';
import type { FileFindings } from './findings.ts';
import type { LogRecord } from './otlp.ts';
import { recordedBeyond } from './recorded.ts';
import type { Resources } from './resource.ts';

/** The file that is being recorded. */
export interface Live {
  readonly number: number;
  readonly findings: FileFindings;
  /** Brings to the file all that the findings are of. */
  flush(): void;
}

/** About five minutes; then the others are told. */
const MOST_ATTEMPTS = 10;

export interface ShipperOptions {
  /** Of the recording, as `record -o` has it, and of the cursor. */
  recording: string;
  cursor: string;
  /** Between two looks at what has grown. */
  interval_ms: number;
  resources: Resources;
  counters: ExportCounters;
  now_ns(): number;
  say(text: string): void;
  wait?(ms: number, signal: AbortSignal): Promise<void>;
}

/**
 * Delivers what is found, and remembers up to where that was: of the file that is being recorded what the
 * engine has found since, of those before it, where they were not delivered meanwhile, what they are read again
 * for. There is never more than one request under way, so that what comes last is the newest.
 */
export class Shipper {
  readonly #options: ShipperOptions;
  readonly #delivery: Delivery;
  readonly #live: Live;
  #cursor: Cursor;
  /** The file before, as it ended, until it is delivered or another one ends. */
  #ended: { number: number; findings: FileFindings } | null = null;
  /** Taken of the file that is recorded, and not delivered. */
  #unsent: LogRecord[] = [];
  /** Attempts to read the file of the cursor that failed. */
  #unread = 0;
  /** It was said that the cursor cannot be written. */
  #unwritten = false;

  constructor(options: ShipperOptions, delivery: Delivery, live: Live) {
    this.#options = options;
    this.#delivery = delivery;
    this.#live = live;
    const { number } = live;
    const cursor = readCursor(options.cursor, (why) =>
      options.say(`${options.cursor}: ${why}: all recordings that there are are told again`),
    );
    // Where the recordings were removed they are numbered from 1 again.
    const valid = cursor !== null && cursor.number <= number;
    this.#cursor = valid ? cursor : beginOf(Math.min(number, ...partNumbers(options.recording)));
    // From here on it is known what was deleted before any of it was delivered.
    if (!valid) this.#moveTo(this.#cursor);
  }

  /** Files that wait to be delivered. */
  get behind(): number {
    return this.#live.number - this.#cursor.number;
  }

  /** Another file is recorded now; this one was finished. */
  ended(number: number, findings: FileFindings): void {
    this.#ended = { number, findings };
  }

  async run(stopped: AbortSignal): Promise<void> {
    while (!stopped.aborted) {
      if (this.#cursor.number < this.#live.number) {
        await this.#shipEnded(stopped);
      } else {
        await sleep(this.#options.interval_ms, undefined, { signal: stopped }).catch(() => {});
        if (!stopped.aborted && this.#cursor.number === this.#live.number)
          await this.#shipLive(stopped);
      }
    }
  }

  /** The recording has ended, and its findings were finished: one attempt more, as long as `stopped` allows. */
  async finish(stopped: AbortSignal): Promise<void> {
    const { number, findings } = this.#live;
    while (this.#cursor.number < number && !stopped.aborted) await this.#shipEnded(stopped);
    if (this.#cursor.number !== number) return;
    const records = [...this.#unsent, ...findings.take(this.#options.now_ns())];
    if (await this.#delivery.send(records, stopped)) this.#moveTo(beginOf(number + 1));
  }

  async #shipLive(stopped: AbortSignal): Promise<void> {
    const live = this.#live;
    const { number, findings } = live;
    live.flush();
    this.#unsent = findings.take(this.#options.now_ns());
    if (this.#unsent.length === 0) return;
    const at = { number, ...findings.origin, ktime_ns: findings.pipeline.newest_ktime_ns };
    if (!(await this.#delivery.send(this.#unsent, stopped))) return;
    this.#unsent = [];
    this.#moveTo(at);
  }

  async #shipEnded(stopped: AbortSignal): Promise<void> {
    const { number } = this.#cursor;
    const records = await this.#recordsOf(number, stopped);
    if (records === null) return;
    if (await this.#delivery.send(records, stopped)) this.#moveTo(beginOf(number + 1));
  }

  /**
   * Null where there is no such file: then the cursor has moved to the next one that there is; and where it
   * cannot be read by now: too many files are open, or its disk does not answer.
   */
  async #recordsOf(number: number, stopped: AbortSignal): Promise<LogRecord[] | null> {
    const { recording, resources, counters, now_ns, say, wait = pause } = this.#options;
    const ended = this.#ended;
    this.#ended = null;
    if (ended?.number === number) return ended.findings.take(now_ns());
    const path = partPath(recording, number);
    try {
      const records = await recordedBeyond(path, this.#cursor, resources, now_ns());
      this.#unread = 0;
      return records;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        this.#passOver();
        return null;
      }
      if (!(error instanceof RecordingError) && ++this.#unread < MOST_ATTEMPTS) {
        if (this.#unread === 1) say(`${path}: ${(error as Error).message}: it is read again later`);
        await wait(backoff_ms(this.#unread), stopped);
        return null;
      }
      // Whatever it is about this file, the others are told.
      this.#unread = 0;
      counters.unreadable++;
      say(`${path} cannot be read, and is passed over: ${(error as Error).message}`);
      return [];
    }
  }

  #passOver(): void {
    const { recording, counters, say } = this.#options;
    const { number } = this.#cursor;
    const live = this.#live.number;
    const next = Math.min(live, ...partNumbers(recording).filter((one) => one > number));
    counters.overtaken += next - number;
    say(
      `${next - number} recordings were deleted before they were delivered: no collector took them in time`,
    );
    this.#moveTo(beginOf(next));
  }

  /** Where that cannot be written, all is delivered once more after a restart, and nothing is lost. */
  #moveTo(cursor: Cursor): void {
    this.#cursor = cursor;
    const { cursor: path, say } = this.#options;
    try {
      writeCursor(path, cursor);
      this.#unwritten = false;
    } catch (error) {
      if (!this.#unwritten)
        say(`${path}: ${(error as Error).message}: what is told now is told again after a restart`);
      this.#unwritten = true;
    }
  }
}

function beginOf(number: number): Cursor {
  return { number, run: '', part: 0, ktime_ns: 0 };
}
