// SPDX-License-Identifier: Apache-2.0

import { weight } from '../severity.ts';
import { UNICODE } from './glyphs.ts';
import type { FindingView } from './model.ts';
import { flowText, who } from './where.ts';

export const SORTS = ['severity', 'count', 'rate', 'last seen', 'cause'] as const;
export type Sort = (typeof SORTS)[number];

export function nextSort(sort: Sort): Sort {
  return SORTS[(SORTS.indexOf(sort) + 1) % SORTS.length] ?? 'severity';
}

/** What is ordinary goes last. */
const weightOf = ({ benign, finding }: FindingView) => (benign ? -1 : weight(finding.severity));
const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
const bySeverity = (a: FindingView, b: FindingView) => weightOf(b) - weightOf(a);
const byCount = (a: FindingView, b: FindingView) => b.finding.count - a.finding.count;

const FIRST: Record<Sort, (a: FindingView, b: FindingView) => number> = {
  severity: bySeverity,
  count: byCount,
  rate: (a, b) => b.rate_per_s - a.rate_per_s,
  'last seen': (a, b) => b.finding.last_ns - a.finding.last_ns,
  cause: (a, b) => byText(a.finding.cause, b.finding.cause),
};

/** What a filter looks at: everything of a finding that a row or its detail says first. */
function searchable({ finding, flows }: FindingView): string {
  const { cause, title, summary, flow, process } = finding;
  const words = [
    cause,
    title,
    summary,
    flowText(flow, UNICODE),
    finding.where,
    who(finding),
    String(process?.pid ?? ''),
    ...flows.map((f) => f.text),
  ];
  return words.join('\n').toLowerCase();
}

/** What decides which findings are in sight, and in which order. */
export interface Choice {
  filter: string;
  sort: Sort;
  /** Benign findings too. */
  benign: boolean;
}

/** The findings on the screen, in order. Every word of the filter has to occur. */
export function visible(
  findings: readonly FindingView[],
  { filter, sort, benign }: Choice,
): FindingView[] {
  const words = filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const shown = findings.filter((view) => benign || !view.benign);
  const matching =
    words.length === 0
      ? shown
      : shown.filter((view) => words.every((word) => searchable(view).includes(word)));
  const first = FIRST[sort];
  return matching.sort(
    (a, b) =>
      first(a, b) || bySeverity(a, b) || byCount(a, b) || byText(a.finding.id, b.finding.id),
  );
}
