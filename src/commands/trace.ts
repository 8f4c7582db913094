// SPDX-License-Identifier: Apache-2.0

import { LiveSource } from '../source/live.ts';
import type { Header } from '../wire/types.gen.ts';
import { attachError } from './environment.ts';
import {
  filterFrom,
  parseDuration,
  parseSeverity,
  parseTier,
  parseToaKinds,
  recordingFrom,
  type WatchFlags,
} from './options.ts';
import { Recorder, troubleTeller } from './recorder.ts';
import { Run, runOptions } from './run.ts';
import { outliveStdout } from './stdout.ts';
import { EVERY_RECORD_TICK_MS, interruption, TICK_MS, watch } from './watch.ts';

/** Records a second of one key on one CPU; counts stay exact whatever it is. */
export const RECORDS_PER_S = 100;
/** Where a file is what is wanted: enough for all but a storm, which would fill the disk. */
const RECORDS_PER_S_TO_FILE = 1000;
/** Where the others are kept too, so many are explained at once: all but those of a storm. */
const EXPLAINED_AT_ONCE = 1000;

/** How many records are made: every one with `everyRecord`. */
export function sampling({ everyRecord, output }: Pick<WatchFlags, 'everyRecord' | 'output'>) {
  if (everyRecord)
    return { records_per_s: RECORDS_PER_S, burst: EXPLAINED_AT_ONCE, every_record: true };
  return { records_per_s: output === undefined ? RECORDS_PER_S : RECORDS_PER_S_TO_FILE };
}

/** Watches the kernel until the time is over, a finding came (--first) or a signal: its exit status. */
export async function trace(
  targets: string[],
  flags: WatchFlags,
  write: (text: string) => void,
): Promise<number> {
  const options = runOptions(flags, parseSeverity(flags.failOn));
  const duration_ms = flags.for === undefined ? null : parseDuration(flags.for);
  const filter = filterFrom(targets, flags);
  recordingFrom(flags);
  const interrupted = interruption();
  const source = openLive({ ...attachOptions(flags), filter });
  let recorder: Recorder | null = null;
  try {
    const recording = new Recorder(source, flags);
    recorder = recording;
    // Before anything is said: whoever reads that it watches may rely on what is known then.
    const sockets = recording.begin();
    const run = new Run(source.header, options, write);
    recording.countIn(run.pipeline.losses);
    if (flags.output !== undefined) outliveStdout('the recording');
    const tell = troubleTeller(recording);
    run.push(sockets);
    if (flags.verbose) process.stderr.write(hookLines(source.header));
    process.stderr.write(
      flags.quiet || options.json ? '' : 'watching; Ctrl-C ends and prints the verdict\n',
    );
    const why = await watch(
      () => {
        run.push(recording.tick());
        tell();
        return Boolean(flags.first && run.found);
      },
      duration_ms,
      interrupted,
      flags.everyRecord ? EVERY_RECORD_TICK_MS : TICK_MS,
    );
    run.push(recording.end(why));
    tell();
    run.finish();
    return run.failed ? 1 : 0;
  } finally {
    source.close();
    recorder?.close();
  }
}

/** How to attach, but for the filter. */
export function attachOptions(flags: WatchFlags) {
  const { tier, btf, hostName: host_name, toaKind } = flags;
  const toa_kinds = parseToaKinds(toaKind);
  return {
    ...sampling(flags),
    tier: parseTier(tier),
    ...{ btf, host_name, toa_kinds },
  };
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
