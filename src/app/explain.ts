// SPDX-License-Identifier: Apache-2.0

import { Capture } from '../capture/capture.ts';
import { captureBytes, isDamage } from '../capture/read.ts';
import { printable } from '../sinks/printable.ts';
import type { Sink } from '../sinks/sink.ts';
import type { Filter } from '../source/filter.ts';
import { factOf, type TextStream } from '../texts/stream.ts';
import type { CauseTold } from '../wire/types.gen.ts';
import type { Joined } from './joined.ts';
import { Progress } from './progress.ts';
import { headerFor, narrowedTo } from './recording.ts';
import { Run, type RunOptions } from './run.ts';
import { UsageError } from './usage.ts';
import { TICK_MS } from './watch.ts';

/** The segments of so many bytes are in memory at once. */
const SLICE_BYTES = 256 << 10;

interface Asked {
  filter: Filter;
  options: RunOptions;
  interrupted: AbortSignal;
  flags: { toaKind: readonly number[] };
  /** What counters and a log that were given too say. */
  told: readonly CauseTold[];
  /** Of several captures. */
  joined: Joined | null;
}

/** What counters or a log tell, to `write`. Whether that is a failure. */
export function explainText(
  { header, messages }: TextStream,
  tell: (sink: Sink) => void,
  options: RunOptions,
  write: (text: string) => void,
): boolean {
  const run = new Run(header, options, write);
  run.push(messages);
  run.finish(tell);
  return run.failed;
}

/** What a capture proves, to `write`, until it ends or is interrupted. Whether that is a failure. */
export async function explainFile(
  file: string,
  { filter, options, interrupted, flags, told, joined }: Asked,
  write: (text: string) => void,
): Promise<boolean> {
  const capture = new Capture(file === '-' ? 'stdin' : file, flags.toaKind);
  const bytes = opened(file);
  const progress = new Progress(bytes.size_bytes);
  let run: Run | null = null;
  let also: ReturnType<Joined['open']> | undefined;
  let held: Uint8Array[] = [];
  const begin = () => {
    const header = headerFor(capture.header(), filter);
    const say = (text: string) => {
      progress.end();
      write(text);
    };
    const begun = new Run(header, options, say, narrowedTo(filter));
    if (told.length > 0) begun.push(factOf(told));
    also = joined?.open(capture.name, header);
    return begun;
  };
  const take = (messages: Uint8Array) => {
    if (!run && !capture.begun) {
      held.push(messages);
      return;
    }
    run ??= begin();
    for (const one of [...held, messages]) push(run, one);
    held = [];
  };
  const push = (run: Run, one: Uint8Array) => {
    run.push(one);
    also?.pipeline.push(one);
  };

  const chunks = bytes.chunks[Symbol.asyncIterator]();
  const stopped = new Promise<'stopped'>((resolve) => {
    interrupted.addEventListener('abort', () => resolve('stopped'), { once: true });
    if (interrupted.aborted) resolve('stopped');
  });
  let cut = false;
  let read_bytes = 0;
  let idle_since_ms = performance.now();
  const timer = setInterval(() => {
    const now_ms = performance.now();
    // Of a file nothing is waited for.
    if (bytes.waits && now_ms - idle_since_ms >= TICK_MS) {
      take(capture.idle((now_ms - idle_since_ms) * 1e6));
      idle_since_ms = now_ms;
    }
  }, TICK_MS);
  try {
    for (;;) {
      const next = await Promise.race([chunks.next(), stopped]);
      if (next === 'stopped' || next.done) break;
      for (const messages of capture.pushed(next.value, SLICE_BYTES)) take(messages);
      idle_since_ms = performance.now();
      progress.advance(bytes.read_bytes() - read_bytes);
      read_bytes = bytes.read_bytes();
    }
  } catch (error) {
    if (!isDamage(error)) throw unreadable(file, error);
    cut = true;
  } finally {
    clearInterval(timer);
    bytes.close();
    progress.end();
  }
  take(capture.end(cut));
  run ??= begin();
  for (const one of held) push(run, one);
  if (capture.unknown_link !== null)
    process.stderr.write(
      `tcpwhy: ${printable(file)}: packets of link type ${capture.unknown_link} are not read\n`,
    );
  const { packets, segments } = capture;
  const { addresses: taken_at, by } = capture.taken_at;
  const row = { file: capture.name, packets, segments, taken_at, by };
  run.finish((sink) => sink.capture(row));
  also?.finish();
  return run.failed;
}

function opened(file: string) {
  try {
    return captureBytes(file);
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOCAPTURE')
    return new UsageError(
      `${file} is no capture (pcap or pcapng, as tcpdump -w writes it, or one of them compressed with gzip or zstd); recordings are for tcpwhy replay`,
    );
  if (code === undefined || code === 'ENOADDON') return error;
  return new UsageError(`cannot read ${file}: ${message}`);
}
