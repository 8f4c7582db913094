// SPDX-License-Identifier: Apache-2.0

import { RecordingError, readRecording } from '../record/read.ts';
import { FrameError } from '../wire/frames.ts';
import { parseSeverity, UsageError, type WatchFlags } from './options.ts';
import { Run, runOptions } from './run.ts';

/** What trace would have printed for each recording. */
export async function replay(
  files: string[],
  flags: WatchFlags,
  write: (text: string) => void,
): Promise<number> {
  const options = runOptions(flags, parseSeverity(flags.failOn));
  let failed = false;
  for (const file of files) failed = replayFile(file, options, write) || failed;
  return failed ? 1 : 0;
}

function replayFile(
  file: string,
  options: ReturnType<typeof runOptions>,
  write: (text: string) => void,
): boolean {
  const { header, chunks } = openRecording(file);
  const run = new Run(header, options, write);
  const damaged = (at: number, why: string) => {
    process.stderr.write(
      `tcpwhy: ${file}: ${why} at byte ${at} of the stream: what came before it is shown\n`,
    );
    run.pipeline.losses.add('recording_damaged', 1);
  };
  try {
    for (const chunk of chunks) run.push(chunk);
    const { bytes, at } = run.pipeline.rest;
    if (bytes > 0) damaged(at, 'cut off within a message');
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    damaged(error.at, error.message);
  }
  run.finish();
  return run.failed;
}

/** Throws UsageError, which says what is wrong with the file. */
export function openRecording(file: string) {
  try {
    return readRecording(file);
  } catch (error) {
    if (error instanceof RecordingError) throw new UsageError(error.message);
    if ((error as NodeJS.ErrnoException).code)
      throw new UsageError(`cannot read ${file}: ${(error as Error).message}`);
    throw error;
  }
}
