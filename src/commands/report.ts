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
  const { others, ...texts } = readTexts(flags);
  const given = [...args, ...others];
  const some = texts.moved !== null || texts.logs.length > 0;
  if (given.length === 0 && !some) throw new UsageError('report needs a recording or a capture');
  const { files: paths, targets } = filesAndTargets(given, 'recording', [], some);
  const filter = recordedFilterFrom(targets, flags);
  const format = formatOf(flags.output);
  refuseExisting(flags.output, flags.force);
  const found = await postMortem(paths, texts, filter, flags, interruption());
  if (!found) return 130;
  const text = format(found);
  if (flags.output === null) write(text);
  else
    saveAs(flags.output, text, {
      inputs: [...paths, ...flags.counters, ...flags.log],
      force: flags.force,
    });
  return 0;
}

function formatOf(output: string | null) {
  const suffix = output === null ? '.md' : (output.match(/\.[^./]+$/)?.[0] ?? '');
  const format = FORMATS[suffix];
  if (format) return format;
  throw new UsageError(
    `-o ${output}: its name has to end with ${Object.keys(FORMATS).join(' or ')}`,
  );
}
