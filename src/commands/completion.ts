// SPDX-License-Identifier: Apache-2.0

import { COMMANDS } from '../app/commands.ts';
import { type Places, SHELLS } from '../app/completion.ts';
import { UsageError } from '../app/usage.ts';
import { SEVERITIES } from '../causes/define.ts';
import { CAUSES } from '../causes/registry.gen.ts';
import { SCENARIOS } from '../lab/scenarios.ts';
import { EXPORT_FORMATS } from '../sinks/export/format.ts';

const CAUSE_IDS = CAUSES.map(({ id }) => id);

const PLACES: Places = {
  '<shell>': Object.keys(SHELLS),
  '<file>': 'files',
  '<directory>': 'files',
  '<file|target...>': 'files',
  '[file|target...]': 'files',
  '<before> <after>': 'files',
  '[target...]': null,
  '<id>': CAUSE_IDS,
  '[id]': CAUSE_IDS,
  '[scenario...]': SCENARIOS.map(({ id }) => id),
  '<severity>': SEVERITIES,
  '<format>': EXPORT_FORMATS,
  '<tier>': ['hooks', 'tracepoints'],
  '<4|6>': ['4', '6'],
  '<port>': null,
  '<url>': null,
  '<address>': null,
  '<namespace>': null,
  '<kind>': null,
  '<size>': null,
  '<duration>': null,
  '<files>': null,
  '<n>': null,
};

/** Prints what makes a shell complete tcpwhy's commands, options and their values. */
export async function completion(
  [shell = '']: readonly string[],
  write: (text: string) => void,
): Promise<number> {
  const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
  if (!script) throw new UsageError(`completion ${shell}: ${Object.keys(SHELLS).join(', ')}`);
  write(script(COMMANDS, PLACES));
  return 0;
}
