// SPDX-License-Identifier: Apache-2.0

import { casesOf } from '../../src/lab/conformance.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import type { Result } from './result.ts';

const TIMES = 7;
const EXACT = /^7(?: \(\+(\d+)\))?$/;
const CASES = SCENARIOS.flatMap(casesOf);
const nameOf = (scenario: string, family: number) => `${scenario} IPv${family}`;
const PLACES = new Map(
  CASES.map(({ scenario, family }, at) => [nameOf(scenario.id, family), at] as const),
);

type Row = Result['rows'][number];

/** What docs/kernels.md says of each kernel. Throws where a row was not exact: its numbers are not all there. */
export function resultsOf(page: string): Result[] {
  const [of_scenarios = '', of_hooks = ''] = page.split('\n## Hooks\n');
  const scenarios = cellsOf(of_scenarios);
  const [heads = [], ...hooks] = cellsOf(of_hooks);
  return heads.slice(1).map((head, at) => {
    const [, release = '', tier = ''] = /^(\S+) \((\S+)\)$/.exec(head) ?? [];
    return {
      ...{ release, tier, verified: {} },
      hooks: hooks.map(([fact = '', ...cells]) => ({ fact, ...hookOf(cells[at] ?? '') })),
      rows: scenarios.slice(1).flatMap(([name = '', ...cells]) => rowOf(name, cells[at] ?? '')),
    };
  });
}

/** Of each kernel its newer rows, and the others as they were; hooks are those of the newer, and what is no scenario any more is left out. */
export function merged(before: readonly Result[], newer: readonly Result[]): Result[] {
  const releases = [...new Set([...before, ...newer].map(({ release }) => release))];
  return releases.map((release) => {
    const results = [...before, ...newer].filter((one) => one.release === release);
    const rows = results.flatMap((one) => one.rows.map((row) => [placeOf(row), row] as const));
    return {
      ...(results.at(-1) as Result),
      // The last of a place stays.
      rows: [...new Map(rows)].sort(([a], [b]) => a - b).map(([, row]) => row),
    };
  });
}

function placeOf({ scenario, family }: Row): number {
  return PLACES.get(nameOf(scenario, family)) ?? Number.NaN;
}

function cellsOf(text: string): string[][] {
  const lines = text.split('\n').filter((line) => line.startsWith('| '));
  return lines
    .filter((line) => !line.startsWith('| ---'))
    .map((line) => line.slice(2, -2).split(' | '));
}

function hookOf(cell: string): { hook: string; reason: string } {
  if (cell.startsWith('- ')) return { hook: '', reason: cell.slice(2) };
  return { hook: cell.replaceAll('<br>', ' + '), reason: '' };
}

function rowOf(name: string, cell: string): Row[] {
  const found = CASES[PLACES.get(name) ?? -1];
  if (!found || cell === 'not run') return [];
  const { cause, beside = [], id } = found.scenario;
  const made = { scenario: id, family: found.family, cause, times: TIMES, beside };
  if (cell.startsWith('- '))
    return [{ ...made, reported: {}, unexplained: 0, verdict: 'skipped', why: cell.slice(2) }];
  const exact = EXACT.exec(cell);
  if (!exact) throw new Error(`${name}: ${cell}; make it again`);
  const reported = { [cause]: TIMES };
  return [{ ...made, reported, unexplained: Number(exact[1] ?? 0), verdict: 'passed', why: null }];
}
