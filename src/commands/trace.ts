// SPDX-License-Identifier: Apache-2.0

import { ATTACHING, attachOptions, openSource } from '../app/attach.ts';
import type { TraceFlags } from '../app/flags.ts';
import { filterFrom, recordingFrom } from '../app/options.ts';
import { saying } from '../app/progress.ts';
import { Recorder, troubleTeller } from '../app/recorder.ts';
import { Run, runOptions } from '../app/run.ts';
import { outliveStdout } from '../app/stdout.ts';
import { EVERY_RECORD_TICK_MS, interruption, TICK_MS, watch } from '../app/watch.ts';
import { ReaderGone } from '../source/reader-gone.ts';
import type { Header } from '../wire/types.gen.ts';

/** Watches the kernel until the time is over, a finding came (--first) or a signal: its exit status. */
export async function trace(
  targets: string[],
  flags: TraceFlags,
  write: (text: string) => void,
): Promise<number> {
  const options = runOptions(flags);
  const filter = filterFrom(targets, flags);
  recordingFrom(flags);
  const interrupted = interruption();
  const open = () => openSource({ ...attachOptions(flags), filter });
  const source = options.json || options.quiet ? open() : saying(ATTACHING, open);
  let recorder: Recorder | null = null;
  try {
    const recording = new Recorder(source, flags, recordingFrom(flags));
    recorder = recording;
    // Before anything is said: whoever reads that it watches may rely on what is known then.
    const sockets = recording.begin();
    const run = new Run(source.header, options, write);
    recording.countIn(run.pipeline.losses);
    if (flags.output !== null) outliveStdout('the recording');
    const tell = troubleTeller(recording);
    run.push(sockets);
    if (flags.verbose) process.stderr.write(hookLines(source.header));
    process.stderr.write(flags.quiet || options.json ? '' : watchingLines(source.header));
    const tick = () => {
      run.push(recording.tick());
      tell();
      return Boolean(flags.first && run.found) || recording.deleted !== null;
    };
    const tick_ms = flags.everyRecord ? EVERY_RECORD_TICK_MS : TICK_MS;
    let trouble: string | null = null;
    try {
      const why = await watch(tick, flags.for, interrupted, tick_ms);
      trouble = recording.deleted;
      run.push(recording.end(why));
    } catch (error) {
      if (!(error instanceof ReaderGone)) throw error;
      trouble = error.message;
    }
    tell();
    run.finish();
    if (trouble !== null) {
      process.stderr.write(`tcpwhy: ${trouble}\n`);
      return 2;
    }
    return run.failed ? 1 : 0;
  } finally {
    source.close();
    recorder?.close();
  }
}

/** Pids are shown everywhere: where they are not those that `ps` shows is said before. */
function watchingLines({ hooks }: Header): string {
  const { reason } = hooks.find(({ fact, hook }) => fact === 'process' && hook === '') ?? {};
  const pids = reason === undefined ? '' : `${reason}\n`;
  return `${pids}watching; Ctrl-C ends and prints the verdict\n`;
}

function hookLines({ hooks }: Header): string {
  return hooks
    .map(({ fact, hook, reason }) => `${fact.padEnd(15)} ${hook || `not observable: ${reason}`}\n`)
    .join('');
}
