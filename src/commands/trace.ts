// SPDX-License-Identifier: Apache-2.0

import { Recording } from '../record/write.ts';
import { LiveSource } from '../source/live.ts';
import type { Header } from '../wire/types.gen.ts';
import { attachError } from './environment.ts';
import {
  filterFrom,
  parseDuration,
  parseSeverity,
  parseTier,
  UsageError,
  type WatchFlags,
} from './options.ts';
import { Run, runOptions } from './run.ts';
import { interruption, watch } from './watch.ts';

/** Records a second of one key on one CPU; counts stay exact whatever it is. */
export const RECORDS_PER_S = 100;
/** Where a file is what is wanted: enough for all but a storm, which would fill the disk. */
export const RECORDS_PER_S_TO_FILE = 1000;

/** Watches the kernel until the time is over, a finding came (--first) or a signal: its exit status. */
export async function trace(
  targets: string[],
  flags: WatchFlags,
  write: (text: string) => void,
): Promise<number> {
  const options = runOptions(flags, parseSeverity(flags.failOn));
  const duration_ms = flags.for === undefined ? null : parseDuration(flags.for);
  const filter = filterFrom(targets, flags);
  const interrupted = interruption();
  const source = openLive({ ...attachOptions(flags), filter });
  let recording: Recording | null = null;
  try {
    recording = createRecording(flags.output, source.header);
    const run = new Run(source.header, options, write);
    const take = (chunk: Uint8Array) => {
      recording?.write(chunk);
      run.push(chunk);
    };
    const warn = recordingWarner(() => recording);
    take(source.begin());
    if (flags.verbose) process.stderr.write(hookLines(source.header));
    process.stderr.write(
      flags.quiet || options.json ? '' : 'watching; Ctrl-C ends and prints the verdict\n',
    );
    const why = await watch(
      () => {
        take(source.tick());
        warn();
        return Boolean(flags.first && run.found);
      },
      duration_ms,
      interrupted,
    );
    take(source.end(why));
    if (recording) run.pipeline.losses.add('recording_write_failed', recording.failed);
    run.finish();
    return run.failed ? 1 : 0;
  } finally {
    source.close();
    recording?.close();
  }
}

/** How to attach, but for the filter. */
export function attachOptions(flags: WatchFlags) {
  return { records_per_s: recordsPerSecond(flags), tier: parseTier(flags.tier), btf: flags.btf };
}

function recordsPerSecond({ everyRecord, output }: WatchFlags): number {
  if (everyRecord) return 0;
  return output === undefined ? RECORDS_PER_S : RECORDS_PER_S_TO_FILE;
}

/** The recording of -o, or null without it. Throws UsageError where it cannot be created. */
export function createRecording(path: string | undefined, header: Header): Recording | null {
  try {
    return path === undefined ? null : Recording.create(path, header);
  } catch (error) {
    throw new UsageError(`cannot write ${path}: ${(error as Error).message}`);
  }
}

/** Throws UsageError where this process or kernel cannot be watched. */
export function openLive(options: Parameters<typeof LiveSource.open>[0]): LiveSource {
  try {
    return LiveSource.open(options);
  } catch (error) {
    throw attachError(error);
  }
}

function hookLines({ hooks }: Header): string {
  return hooks
    .map(({ fact, hook, reason }) => `${fact.padEnd(15)} ${hook || `not observable: ${reason}`}\n`)
    .join('');
}

/** Says once when the recording cannot be written, and once when it can again. */
export function recordingWarner(recording: () => Recording | null): () => void {
  let said: string | null = null;
  return () => {
    const now = recording();
    if (!now || now.error === said) return;
    said = now.error;
    process.stderr.write(
      said
        ? `tcpwhy: ${now.path}: ${said}: findings go on, the recording waits for room\n`
        : `tcpwhy: ${now.path}: writing again\n`,
    );
  };
}
