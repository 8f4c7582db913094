// SPDX-License-Identifier: Apache-2.0

import { setFlagsFromString } from 'node:v8';
import type { Values } from '../app/declare.ts';
import { explainFile, explainText } from '../app/explain.ts';
import type { EXPLAIN } from '../app/flags.ts';
import { Joined } from '../app/joined.ts';
import { filesAndTargets, recordedFilterFrom } from '../app/options.ts';
import { runOptions } from '../app/run.ts';
import { readTexts } from '../app/texts.ts';
import { UsageError } from '../app/usage.ts';
import { interruption } from '../app/watch.ts';

/** Most of what is on the heap are connections, which stay: a larger part of it is garbage before it is looked for. */
const HEAP = '--heap-growing-percent=60';

/** What counters, a log and the packets of each capture prove, of all connections or of those that `args` name too: its exit status. */
export async function explain(
  args: string[],
  flags: Values<typeof EXPLAIN>,
  write: (text: string) => void,
): Promise<number> {
  const options = runOptions(flags);
  const { moved, logs, told, others } = readTexts(flags);
  const given = [...args, ...others];
  const texts = moved !== null || logs.length > 0;
  if (given.length === 0 && !texts)
    throw new UsageError('explain needs a capture, --counters BEFORE AFTER, or --log FILE');
  const { files, targets } = filesAndTargets(given, 'capture', ['-'], texts);
  const filter = recordedFilterFrom(targets, { ...flags, netns: null });

  let failed = false;
  if (moved) failed = explainText(moved, (sink) => sink.counters(moved.row), options, write);
  for (const log of logs)
    failed = explainText(log, (sink) => sink.log(log.row), options, write) || failed;

  setFlagsFromString(HEAP);
  const interrupted = interruption();
  // Of which of several captures' hosts they are nobody says.
  const alone = files.length === 1;
  const joined = alone ? null : new Joined(filter, flags);
  const asked = { filter, options, interrupted, flags, told: alone ? told : [], joined };
  for (const file of new Set(files)) {
    failed = (await explainFile(file, asked, write)) || failed;
    if (interrupted.aborted) break;
  }
  if (!interrupted.aborted) joined?.tell(options, write);
  return failed ? 1 : 0;
}
