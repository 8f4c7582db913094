// SPDX-License-Identifier: Apache-2.0

import { calmLines } from './calm.ts';
import { detailLines } from './detail.ts';
import { footerLine } from './footer.ts';
import type { Glyphs } from './glyphs.ts';
import { headerLines } from './header.ts';
import { COMFORTABLE, type Layout, layoutFor, type Size } from './layout.ts';
import { cutLine, fill, type Line, rule, span } from './lines.ts';
import type { FindingView } from './model.ts';
import { visible } from './order.ts';
import { painted } from './painted.ts';
import { textIn } from './reduce.ts';
import type { State } from './state.ts';
import { tableHead, tableLines } from './table.ts';
import { wrap } from './text.ts';

interface Body {
  title: Line;
  lines: Line[];
  preview: Line[] | null;
  position: string;
}

const range = (from: number, shown: number, all: number) =>
  all <= shown ? '' : `${from + 1}-${Math.min(all, from + shown)} of ${all}`;

/** What has to be said whatever is shown: the terminal is small, nothing more will come. */
function notes(state: State, layout: Layout): Line {
  const small = layout.cramped
    ? [span(`  needs at least ${COMFORTABLE.columns}x${COMFORTABLE.rows}`, 'warning')]
    : [];
  const over =
    state.model.recording === null
      ? 'nothing more will come, q to quit'
      : 'recording ended, q to quit';
  return state.model.ended ? [...small, span(`  ${over}`, 'warning')] : small;
}

function textBody(state: State, layout: Layout): Body {
  const all = textIn(state);
  const from = state.help ?? state.scroll;
  const gone =
    state.open !== null &&
    !state.model.findings.some((view) => view.finding.id === state.open?.finding.id);
  const place = `finding ${state.index + 1} of ${visible(state.model.findings, state).length}`;
  const what =
    state.help !== null
      ? span('help')
      : gone
        ? span('no longer kept: as it was last seen', 'warning')
        : span(place);
  const title = [what, ...notes(state, layout)];
  return {
    title,
    lines: all.slice(from, from + layout.textHeight),
    preview: null,
    position: range(from, layout.textHeight, all.length),
  };
}

function tableTitle(state: State, layout: Layout, shown: number): Line {
  const eligible = state.model.findings.filter((view) => state.benign || !view.benign).length;
  const found = state.filter === '' ? `${shown}` : `${shown} of ${eligible}`;
  const filter = state.filter === '' ? [] : [span(`  filter "${state.filter}"`, 'strong')];
  const count = span(`${found} finding${found === '1' ? '' : 's'}`, 'strong');
  const order =
    shown === 0 ? [] : [span(`  by ${state.sort}`), span(state.benign ? '  with benign' : '')];
  return [count, ...notes(state, layout), ...filter, ...order];
}

function previewLines(view: FindingView | undefined, state: State, layout: Layout): Line[] | null {
  if (layout.previewWidth === 0 || view === undefined) return null;
  const all = detailLines(view, state.model.now_ns, layout.previewWidth, state.glyphs);
  if (all.length <= layout.textHeight) return all;
  const more: Line = [span(`${all.length - layout.textHeight + 1} more lines: Enter opens`, 'dim')];
  return [...all.slice(0, layout.textHeight - 1), more];
}

function tableBody(state: State, layout: Layout): Body {
  const { model, glyphs } = state;
  const views = visible(model.findings, state);
  const title = tableTitle(state, layout, views.length);
  if (views.length === 0) {
    return {
      title,
      lines: calmLines(model, state, layout.columns, layout.textHeight),
      preview: null,
      position: '',
    };
  }
  const preview = previewLines(views[state.index], state, layout);
  const width = preview === null ? layout.columns : layout.tableWidth;
  const rows = tableLines(
    { views, selected: state.index, top: state.top, now_ns: model.now_ns },
    width,
    layout.tableHeight,
    glyphs,
  );
  return {
    title,
    lines: [tableHead(width, glyphs), ...rows],
    preview,
    position: range(state.top, layout.page, views.length),
  };
}

function tooSmall({ columns, rows }: Size): Line[] {
  const text = `tcpwhy top needs at least ${COMFORTABLE.columns}x${COMFORTABLE.rows}; this is ${columns}x${rows}. q quits.`;
  return wrap(text, columns)
    .slice(0, rows)
    .map((part) => [span(part)]);
}

/** The body's row: what is left of the bar fills its width, where there is something at the right of it. */
function bodyRow({ lines, preview }: Body, row: number, layout: Layout, glyphs: Glyphs): Line {
  const left = lines[row] ?? [];
  if (preview === null) return left;
  const bar = span(` ${glyphs.bar} `, 'dim');
  return [...fill(left, layout.tableWidth), bar, ...(preview[row] ?? [])];
}

/** The whole screen, a line a row. */
function linesOf(state: State): Line[] {
  const layout = layoutFor(state.size);
  if (layout.tooSmall) return tooSmall(state.size);
  const { model, glyphs } = state;
  const { columns, textHeight } = layout;
  const body =
    state.help !== null || state.open !== null ? textBody(state, layout) : tableBody(state, layout);
  return [
    ...headerLines(model, state.paused, state.benign, columns, glyphs),
    rule(body.title, body.position, columns, glyphs),
    ...Array.from({ length: textHeight }, (_, row) => bodyRow(body, row, layout, glyphs)),
    footerLine(state, columns, glyphs),
  ];
}

/** The whole screen as it is written: a function of the state, no higher and no wider than the terminal. */
export function rowsOf(state: State, color: boolean): string[] {
  const { columns } = layoutFor(state.size);
  return linesOf(state).map((line) => painted(cutLine(line, columns, state.glyphs), color));
}
