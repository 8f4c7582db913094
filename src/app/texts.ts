// SPDX-License-Identifier: Apache-2.0

import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { jsonText, printable } from '../sinks/printable.ts';
import type { CountersRow, LogRow } from '../sinks/sink.ts';
import { SYMPTOMS } from '../texts/counter-causes.ts';
import { type Counters, CountersError, parseCounters } from '../texts/counters.ts';
import { Log } from '../texts/log.ts';
import { type Moved, movedBetween } from '../texts/moved.ts';
import { counterStream, logStream, type TextStream } from '../texts/stream.ts';
import type { CauseTold } from '../wire/types.gen.ts';
import { UsageError } from './usage.ts';

/** Counters are some 20 KB. */
const MOST_BYTES = 1 << 22;
const CHUNK_BYTES = 1 << 20;
/** A longer line is no line of a log. */
const MOST_LINE = 1 << 16;

/** What was given with --counters and --log. */
export interface Texts {
  moved: (TextStream & { row: CountersRow }) | null;
  logs: (TextStream & { row: LogRow })[];
  /** What all of them say, for captures that were given with them. */
  told: CauseTold[];
  /** What stood behind the two files of --counters and is no part of it. */
  others: string[];
}

/** Throws UsageError. */
export function readTexts({ counters, log }: { counters: string[]; log: string[] }): Texts {
  const [before, after, ...others] = counters;
  if (before !== undefined && after === undefined)
    throw new UsageError('--counters needs two files: as they were before, and after');
  const moved = before !== undefined && after !== undefined ? readMoved(before, after) : null;
  const logs = log.map(readLog);
  const told = [...(moved?.told ?? []), ...logs.flatMap((one) => one.told)];
  return { moved, logs, told, others };
}

/** What two texts of counters tell, and what they are. Throws UsageError. */
function readMoved(before: string, after: string): TextStream & { row: CountersRow } {
  const [first, second] = [textOf(before), textOf(after)];
  if (first.ino === second.ino && first.dev === second.dev)
    throw new UsageError(`--counters: ${before} and ${after} are the same file`);
  const [then, now] = [countersOf(before, first.text), countersOf(after, second.text)];
  const moved = between(before, then, after, now);
  const name = `${before} → ${after}`;
  const stream = counterStream(name, moved, [then.values, now.values], second.mtime_ms);
  const rows = moved.rows.map((row) => ({ ...row, says: SYMPTOMS[row.counter] ?? null }));
  const row = { before, after, moved: rows, uncompared: moved.uncompared.length };
  return { ...stream, row };
}

/** What a kernel's log tells, and what it is. Throws UsageError. */
function readLog(file: string): TextStream & { row: LogRow } {
  const log = new Log();
  const { mtime_ms } = eachLine(file, (line) => log.push(line));
  const told = log.said.reduce((sum, { lines }) => sum + lines, 0);
  const name = file === '-' ? 'stdin' : file;
  return { ...logStream(name, log.said, mtime_ms), row: { file: name, lines: log.lines, told } };
}

function between(before: string, then: Counters, after: string, now: Counters): Moved {
  try {
    return movedBetween(then, now);
  } catch (error) {
    if (!(error instanceof CountersError)) throw error;
    throw new UsageError(`--counters: from ${before} to ${after} they ${error.message}`);
  }
}

function countersOf(file: string, text: string): Counters {
  try {
    const counters = parseCounters(text);
    const [line] = counters.unknown;
    if (line !== undefined)
      process.stderr.write(
        `tcpwhy: ${printable(file)}: ${counters.unknown.length} lines say of no known counter how much it is, the first: ${jsonText(line.slice(0, 80))}\n`,
      );
    return counters;
  } catch (error) {
    if (!(error instanceof CountersError)) throw error;
    throw new UsageError(`--counters: ${file} ${error.message}`);
  }
}

function textOf(file: string) {
  return reading(file, () => {
    const { ino, dev, size, mtimeMs: mtime_ms } = statSync(file);
    if (size > MOST_BYTES)
      throw new UsageError(`--counters: ${file} is too large to be a text of counters`);
    return { ino, dev, mtime_ms, text: readFileSync(file, 'utf8') };
  });
}

/** However large the file is. */
function eachLine(file: string, take: (line: string) => void): { mtime_ms: number } {
  return reading(file, () => {
    const fd = file === '-' ? openStdin() : openSync(file, 'r');
    try {
      const decoder = new StringDecoder('utf8');
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      let rest = '';
      for (;;) {
        const bytes = readSync(fd, chunk);
        if (chunk.subarray(0, bytes).includes(0))
          throw new UsageError(`--log: ${file} is no text; dmesg and journalctl -k write one`);
        const lines = (rest + decoder.write(chunk.subarray(0, bytes))).split('\n');
        rest = bytes === 0 ? '' : (lines.pop() ?? '').slice(0, MOST_LINE);
        for (const line of lines) if (line !== '') take(line);
        if (bytes === 0) return { mtime_ms: fstatSync(fd).mtimeMs };
      }
    } finally {
      closeSync(fd);
    }
  });
}

/** Opened again it waits for its bytes, whoever made it non-blocking; a socket cannot be opened. */
function openStdin(): number {
  try {
    return openSync('/dev/stdin', 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error;
    return 0;
  }
}

function reading<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof UsageError || !(error as NodeJS.ErrnoException).code) throw error;
    throw new UsageError(`cannot read ${file}: ${(error as Error).message}`);
  }
}
