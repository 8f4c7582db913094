// SPDX-License-Identifier: Apache-2.0

import { age, count, rate } from '../format.ts';
import { printable } from '../printable.ts';
import type { Glyphs } from './glyphs.ts';
import { cutLine, fill, type Line, type Span, span } from './lines.ts';
import type { FindingView } from './model.ts';
import { severityMark, severityStyle } from './severity.ts';
import { spark } from './spark.ts';
import { cut, padEnd, padStart, wrap } from './text.ts';
import { where, whoFits, why } from './where.ts';

interface Column {
  head: string;
  width: number;
  gap: number;
  align: 'left' | 'right';
  cell(view: FindingView, width: number): Span;
}

/** Columns for a width, the most telling ones first to stay when there is little of it. */
function columnsFor(width: number, now_ns: number, glyphs: Glyphs): Column[] {
  const cause = width < 96 ? 22 : 25;
  const history = width < 96 ? 8 : 15;
  const fixed = 4 + cause;
  const all: (Column & { from: number })[] = [
    {
      head: 'COUNT',
      width: 6,
      gap: 1,
      align: 'right',
      from: 0,
      cell: (v) => span(count(v.finding.count), 'strong'),
    },
    {
      head: 'RATE',
      width: 6,
      gap: 1,
      align: 'right',
      from: 48,
      cell: (v) => span(rate(v.rate_per_s)),
    },
    {
      head: history < 15 ? '30 s' : 'LAST 30 s',
      width: history,
      gap: 2,
      align: 'left',
      from: 60,
      cell: (v, w) => span(spark(v.history, w, glyphs), 'info'),
    },
    {
      head: 'SEEN',
      width: 4,
      gap: 1,
      align: 'right',
      from: 0,
      cell: (v) => span(age(v.finding.last_ns, now_ns)),
    },
  ];
  const shown = all.filter((column) => width >= column.from);
  const used = shown.reduce((sum, column) => sum + column.width + column.gap, fixed);
  const room = width - used - 2;
  const place: Column = {
    head: 'WHERE',
    width: room,
    gap: 2,
    align: 'left',
    cell: (v, w) => span(where(v.finding, w, glyphs)),
  };
  const name: Column = {
    head: 'CAUSE',
    width: cause,
    gap: 0,
    align: 'left',
    cell: (v, w) => span(cut(v.finding.cause, w, glyphs.ellipsis), severityStyle(v)),
  };
  return [name, ...shown, ...(room >= 12 ? [place] : [])];
}

const pad = (text: string, column: Column) =>
  column.align === 'left' ? padEnd(text, column.width) : padStart(text, column.width);

export function tableHead(width: number, glyphs: Glyphs): Line {
  const cells = columnsFor(width, 0, glyphs).map((column) =>
    span(' '.repeat(column.gap) + pad(column.head, column), 'dim'),
  );
  return cutLine([span('    '), ...cells], width, glyphs);
}

/** Rows that a finding takes: its facts, and below them why. */
export const ROWS_PER_FINDING = 2;

function factsLine(
  view: FindingView,
  columns: Column[],
  selected: boolean,
  width: number,
  glyphs: Glyphs,
): Line {
  const cells = columns.flatMap((column) => {
    const { text, style } = column.cell(view, column.width);
    return [span(' '.repeat(column.gap)), span(pad(text, column), style)];
  });
  const line = cutLine(
    [span(selected ? '> ' : '  '), span(`${severityMark(view)} `, severityStyle(view)), ...cells],
    width,
    glyphs,
  );
  return selected ? fill(line, width, 'selected') : line;
}

/** Why, in full: as many rows as it takes. */
function reason(view: FindingView, columns: Column[], width: number): string[] {
  const place = columns.find((column) => column.head === 'WHERE')?.width ?? 0;
  const text = whoFits(view.finding, place)
    ? printable(view.finding.summary || view.finding.title)
    : why(view.finding);
  return wrap(text, width);
}

/** Rows that are left over go to the reasons that need more than one: the selected finding's first, then from the top. */
function share(needs: readonly number[], selected: number, spare: number): number[] {
  const rows = needs.map(() => 1);
  let left = spare;
  for (const i of [selected, ...needs.keys()]) {
    const more = Math.min(left, (needs[i] ?? 1) - (rows[i] ?? 1));
    if (more <= 0) continue;
    rows[i] = 1 + more;
    left -= more;
  }
  return rows;
}

function cutTo(rows: number, wrapped: readonly string[], width: number, glyphs: Glyphs): string[] {
  if (wrapped.length <= rows) return [...wrapped];
  return [
    ...wrapped.slice(0, rows - 1),
    cut(wrapped.slice(rows - 1).join(' '), width, glyphs.ellipsis),
  ];
}

export interface Table {
  views: readonly FindingView[];
  /** Places in `views`: of the selected finding, and of the first one in sight. */
  selected: number;
  top: number;
  now_ns: number;
}

/** The findings from `top` on, as many as the height takes. */
export function tableLines(
  { views, selected, top, now_ns }: Table,
  width: number,
  height: number,
  glyphs: Glyphs,
): Line[] {
  const columns = columnsFor(width, now_ns, glyphs);
  const shown = views.slice(top, top + Math.floor(height / ROWS_PER_FINDING));
  const room = Math.max(1, width - 4);
  const reasons = shown.map((view) => reason(view, columns, room));
  const rows = share(
    reasons.map((text) => text.length),
    selected - top,
    height - shown.length * ROWS_PER_FINDING,
  );
  return shown.flatMap((view, i): Line[] => [
    factsLine(view, columns, top + i === selected, width, glyphs),
    ...cutTo(rows[i] ?? 1, reasons[i] ?? [], room, glyphs).map((text) => [
      span('    '),
      span(text, view.benign ? 'dim' : 'plain'),
    ]),
  ]);
}
