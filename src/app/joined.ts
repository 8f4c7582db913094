// SPDX-License-Identifier: Apache-2.0

import { CAUSES } from '../causes/registry.gen.ts';
import type { Pipeline } from '../diagnose/pipeline.ts';
import { BENIGN } from '../diagnose/unexplained.ts';
import { Draft } from '../report/build.ts';
import { HostCollection, type Wanted } from '../report/collect.ts';
import type { FindingReport, Report } from '../report/model.ts';
import { jsonSink } from '../sinks/json.ts';
import type { JoinedRow } from '../sinks/sink.ts';
import { textSink } from '../sinks/text.ts';
import type { Filter } from '../source/filter.ts';
import { EVERY_CAUSE } from '../texts/causes.ts';
import { VERSION } from '../version.ts';
import type { Header } from '../wire/types.gen.ts';
import { narrowedTo } from './recording.ts';
import { causesCalled, type RunOptions } from './run.ts';

/** What several captures, each of which is told of, see of the same connections. Bounded, however long they are. */
export class Joined {
  readonly #collections: HostCollection[] = [];
  readonly #filter: Filter;
  readonly #wanted: Wanted;

  constructor(filter: Filter, flags: { cause: string[]; all: boolean }) {
    const causes = causesCalled(flags.cause);
    this.#filter = filter;
    this.#wanted = ({ cause }) => (cause === BENIGN.id ? flags.all : (causes?.has(cause) ?? true));
  }

  /** Takes the messages of one more capture; then it is to be finished. */
  open(file: string, header: Header): { pipeline: Pipeline; finish(): void } {
    const collection = new HostCollection(this.#wanted);
    this.#collections.push(collection);
    const narrowed = narrowedTo(this.#filter);
    const pipeline = collection.open(file, header, EVERY_CAUSE, null, narrowed);
    return { pipeline, finish: () => collection.finish(pipeline) };
  }

  tell(options: RunOptions, write: (text: string) => void): void {
    const about = { version: VERSION, anonymized: false, causes: CAUSES };
    const report = new Draft(this.#collections).report(about);
    const sink = options.json ? jsonSink(write) : textSink(write, options);
    for (const row of joinedIn(report)) sink.joined(row);
  }
}

function joinedIn(report: Report): JoinedRow[] {
  const names = new Map(report.hosts.map(({ name, files: [file] }) => [name, file ?? name]));
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
