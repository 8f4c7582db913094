// SPDX-License-Identifier: Apache-2.0

import { CAUSES } from '../causes/registry.gen.ts';
import { wrap } from '../sinks/text.ts';
import { UsageError } from './options.ts';

/** The catalogue, or the page of one cause. */
export function causes(
  id: string | undefined,
  flags: { json?: boolean },
  write: (text: string) => void,
): number {
  if (id === undefined) {
    for (const { id: name, severity, title, explains } of CAUSES) {
      if (flags.json) write(`${JSON.stringify({ id: name, severity, title, explains })}\n`);
      else write(`${name.padEnd(22)} ${severity.padEnd(8)} ${title}\n`);
    }
    return 0;
  }
  const cause = CAUSES.find((one) => one.id === id);
  if (!cause) throw new UsageError(`no cause ${id}; tcpwhy causes lists them`);
  if (flags.json) {
    const { id: name, severity, title, explains, needs, supersedes = [] } = cause;
    write(`${JSON.stringify({ id: name, severity, title, explains, needs, supersedes })}\n`);
    return 0;
  }
  write(
    `${wrap(`${cause.id} (${cause.severity}): ${cause.title}`, '', '  ').join('\n')}\n\n${wrap(cause.explains, '', '').join('\n')}\n`,
  );
  return 0;
}
