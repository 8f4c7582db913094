// SPDX-License-Identifier: Apache-2.0

import type { Values } from '../app/declare.ts';
import type { REPORT } from '../app/flags.ts';
import { filesAndTargets, recordedFilterFrom } from '../app/options.ts';
import { refuseExisting, saveAs } from '../app/output.ts';
import { postMortem } from '../app/post-mortem.ts';
import { readTexts } from '../app/texts.ts';
import { UsageError } from '../app/usage.ts';
import { interruption } from '../app/watch.ts';
import type { Report } from '../report/model.ts';
import { reportHtml } from '../sinks/report-html/page.ts';
import { reportMarkdown } from '../sinks/report-md/page.ts';

const FORMATS: Record<string, (report: Report) => string> = {
  '.html': reportHtml,
  '.md': reportMarkdown,
};

/** A post-mortem of recordings, captures and what else hosts left, to a file by its suffix or as Markdown to `write`: its exit status. */
export async function report(
  args: string[],
  flags: Values<typeof REPORT>,
  write: (text: string) => void,
): Promise<number> {
  const format = formatOf(flags.output);
  refuseExisting(flags.output, flags.force);
  const { found, inputs } = await (flags.from
    ? ofEngine(flags.from, args, flags)
    : ofFiles(args, flags));
  if (!found) return 130;
  const text = format(found);
  if (flags.output === null) write(text);
  else saveAs(flags.output, text, { inputs, force: flags.force });
  return 0;
}

interface Made {
  /** Null where it was interrupted. */
  found: Report | null;
  /** What is not to be written over. */
  inputs: string[];
}

async function ofFiles(args: string[], flags: Values<typeof REPORT>): Promise<Made> {
  const { others, ...texts } = readTexts(flags);
  const given = [...args, ...others];
  const some = texts.moved !== null || texts.logs.length > 0;
  if (given.length === 0 && !some) throw new UsageError('report needs a recording or a capture');
  const { files: paths, targets } = filesAndTargets(given, 'recording', [], some);
  const filter = recordedFilterFrom(targets, flags);
  const found = await postMortem(paths, texts, filter, flags, interruption());
  return { found, inputs: [...paths, ...flags.counters, ...flags.log] };
}

async function ofEngine(from: URL, args: string[], flags: Values<typeof REPORT>): Promise<Made> {
  const { files, targets } = filesAndTargets(args, 'recording', [], true);
  if (files.length > 0)
    throw new UsageError(`--from and ${files[0]} together: a report is of files, or of an engine`);
  const filter = recordedFilterFrom(targets, flags);
  // What asks over the network is not even loaded for files.
  const { toldPostMortem } = await import('../app/told.ts');
  const found = await toldPostMortem(from, flags.since, filter, flags.cause, interruption());
  return { found, inputs: [] };
}

function formatOf(output: string | null) {
  const suffix = output === null ? '.md' : (output.match(/\.[^./]+$/)?.[0] ?? '');
  const format = FORMATS[suffix];
  if (format) return format;
  throw new UsageError(
    `-o ${output}: its name has to end with ${Object.keys(FORMATS).join(' or ')}`,
  );
}
