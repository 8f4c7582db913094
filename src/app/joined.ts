// SPDX-License-Identifier: Apache-2.0

import { realpathSync } from 'node:fs';
import type { FindingReport, Report } from '../report/model.ts';
import { jsonSink } from '../sinks/json.ts';
import type { JoinedRow } from '../sinks/sink.ts';
import { textSink } from '../sinks/text.ts';
import type { Filter } from '../source/filter.ts';
import { postMortem } from './post-mortem.ts';
import type { RunOptions } from './run.ts';

/** What several captures, each of which was told of, saw of the same connections. */
export async function tellJoined(
  files: readonly string[],
  flags: { cause: string[]; all: boolean },
  {
    filter,
    options,
    interrupted,
  }: { filter: Filter; options: RunOptions; interrupted: AbortSignal },
  write: (text: string) => void,
): Promise<void> {
  const texts = { moved: null, logs: [], told: [] };
  const report = await postMortem(
    [...files],
    texts,
    filter,
    { ...flags, anonymize: false },
    interrupted,
  );
  if (!report) return;
  const sink = options.json ? jsonSink(write) : textSink(write, options);
  for (const row of joinedIn(report, files)) sink.joined(row);
}

function joinedIn(report: Report, files: readonly string[]): JoinedRow[] {
  const given = new Map(files.map((file) => [realpathSync(file), file]));
  const names = new Map(
    report.hosts.map(({ name, files: [path = ''] }) => [name, given.get(path) ?? path]),
  );
  const called = (host: string) => names.get(host) ?? host;
  return together(report.findings).map((rows) => ({
    findings: rows.map(({ host, finding: { id, cause, severity, count, summary } }) => {
      return { file: called(host), id, cause, severity, count, summary };
    }),
    translated: onceEach(
      rows.flatMap(({ host, translated }) =>
        translated.map(({ here, there, hosts }) => {
          return { file: called(host), here, there, at: hosts.map(called) };
        }),
      ),
    ),
  }));
}

/** Findings that have connections in common, those of one file alone left out. */
function together(findings: readonly FindingReport[]): FindingReport[][] {
  const left = new Map(findings.map((one) => [one.number, one]));
  const groups: FindingReport[][] = [];
  for (const first of findings) {
    const group: FindingReport[] = [];
    const next = [first.number];
    for (let number = next.pop(); number !== undefined; number = next.pop()) {
      const one = left.get(number);
      if (!one || !left.delete(number)) continue;
      group.push(one);
      next.push(...one.elsewhere);
    }
    if (group.length > 1) groups.push(group.sort((a, b) => a.number - b.number));
  }
  return groups;
}

/** A translation is told from where it was seen first. */
function onceEach(rows: JoinedRow['translated']): JoinedRow['translated'] {
  const told = new Set<string>();
  return rows.filter(({ here, there }) => {
    const name = [here, there].sort().join(' ');
    return !told.has(name) && told.add(name);
  });
}
