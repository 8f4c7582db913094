// SPDX-License-Identifier: Apache-2.0

import type { Values } from '../app/declare.ts';
import type { REPLAY } from '../app/flags.ts';
import { filesAndTargets, recordedFilterFrom } from '../app/options.ts';
import { DamageReport, headerFor, narrowedTo, openRecording } from '../app/recording.ts';
import { Run, runOptions } from '../app/run.ts';
import type { Filter } from '../source/filter.ts';

/** What trace would have printed for each recording, or for the connections of it that `args` name too. */
export async function replay(
  args: string[],
  flags: Values<typeof REPLAY>,
  write: (text: string) => void,
): Promise<number> {
  const options = runOptions(flags);
  const { files, targets } = filesAndTargets(args);
  const filter = recordedFilterFrom(targets, flags);
  let failed = false;
  for (const file of files) failed = (await replayFile(file, filter, options, write)) || failed;
  return failed ? 1 : 0;
}

async function replayFile(
  file: string,
  filter: Filter,
  options: ReturnType<typeof runOptions>,
  write: (text: string) => void,
): Promise<boolean> {
  const recording = await openRecording(file);
  const run = new Run(headerFor(recording.header, filter), options, write, narrowedTo(filter));
  const damages = new DamageReport(file, run.pipeline.losses);
  for await (const { messages, damage } of recording.pieces()) {
    run.push(messages);
    if (damage) damages.add(damage);
  }
  damages.end();
  run.finish();
  return run.failed;
}
