// SPDX-License-Identifier: Apache-2.0

import type { Values } from '../app/declare.ts';
import { explainFile } from '../app/explain.ts';
import type { EXPLAIN } from '../app/flags.ts';
import { filesAndTargets, recordedFilterFrom } from '../app/options.ts';
import { runOptions } from '../app/run.ts';
import { interruption } from '../app/watch.ts';

/** What the packets of each capture prove, of all connections or of those that `args` name too: its exit status. */
export async function explain(
  args: string[],
  flags: Values<typeof EXPLAIN>,
  write: (text: string) => void,
): Promise<number> {
  const options = runOptions(flags);
  const { files, targets } = filesAndTargets(args, 'capture', ['-']);
  const filter = recordedFilterFrom(targets, { ...flags, netns: null });
  const interrupted = interruption();
  let failed = false;
  for (const file of files) {
    failed = (await explainFile(file, { filter, options, interrupted, flags }, write)) || failed;
    if (interrupted.aborted) break;
  }
  return failed ? 1 : 0;
}
