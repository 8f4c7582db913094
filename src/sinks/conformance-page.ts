// SPDX-License-Identifier: Apache-2.0

import type { Row } from '../lab/conformance.ts';
import type { Score } from '../lab/score.ts';
import { share } from './lab.ts';

/** What one kernel gave. */
export interface KernelRun {
  kernel: string;
  tier: string;
  rows: readonly Row[];
  scores: readonly Score[];
}

/** The conformance of these kernels as Markdown; `all` are the scores over all of them. */
export function conformancePage(
  runs: readonly KernelRun[],
  all: readonly Score[],
  date: string,
): string {
  const times = [...new Set(runs.flatMap(({ rows }) => rows.map((row) => row.times)))].join(' or ');
  return `<!-- Written by tcpwhy lab --all --write, or by make vm-test: do not edit. -->

# Conformance

Every failure that \`tcpwhy lab --all\` makes, made ${times} times with each address family, and what
tcpwhy said. Run on ${date}. Which scenarios there are, and what each kernel showed of them, is in
[kernels.md](kernels.md).

- expected: how often the cause was made to happen.
- reported: how often it was named, in any scenario's namespaces.
- precision: the share of those reported that had happened. recall: the share of those that happened
  that were reported.
- skipped: a kernel cannot show it, or a program was missing; it says which.

${table(
  ['kernel', 'tier', 'passed', 'failed', 'skipped', 'unexplained beside'],
  runs.map(({ kernel, tier, rows }) => [
    kernel,
    tier,
    ...(['passed', 'failed', 'skipped'] as const).map((verdict) => number(rows, verdict)),
    String(rows.reduce((sum, { unexplained }) => sum + unexplained, 0)),
  ]),
)}

## Causes

${table(
  ['cause', 'expected', 'reported', 'precision', 'recall', 'not exact on'],
  all.map(({ cause, expected, reported, precision, recall }) => [
    `[${cause}](causes/${cause}.md)`,
    String(expected),
    String(reported),
    share(precision),
    share(recall),
    runs
      .filter(({ scores }) => scores.some((one) => one.cause === cause && !exact(one)))
      .map(({ kernel }) => kernel)
      .join('<br>'),
  ]),
)}
${skippedPart(runs)}`;
}

function skippedPart(runs: readonly KernelRun[]): string {
  const skipped = runs.flatMap(({ kernel, rows }) =>
    rows
      .filter(({ verdict }) => verdict === 'skipped')
      .map(({ scenario, family, why }) => [kernel, `${scenario} IPv${family}`, why ?? '']),
  );
  if (skipped.length === 0) return '';
  return `\n## Skipped\n\n${table(['kernel', 'scenario', 'why'], skipped)}\n`;
}

function exact({ precision, recall }: Score): boolean {
  return precision === 1 && recall === 1;
}

function number(rows: readonly Row[], verdict: Row['verdict']): string {
  return String(rows.filter((row) => row.verdict === verdict).length);
}

/** A Markdown table. */
export function table(head: readonly string[], rows: readonly string[][]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
