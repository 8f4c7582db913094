// SPDX-License-Identifier: Apache-2.0

import type { Ladder, NoteRung, SegmentRung } from '../../report/model.ts';
import { printable } from '../printable.ts';
import { rungTime, segmentText } from '../report-text.ts';
import { wrap } from '../wrap.ts';

const TIME_COLUMNS = 16;
/** Between two lines, by the number of ends. */
const GAPS: Record<number, number> = { 1: 56, 2: 56, 3: 50 };
const GAP = 48;

/** A ladder as lines of text: the ends as columns, segments as arrows between them. */
export function ladderLines(ladder: Ladder): string[] {
  const gap = GAPS[ladder.ends.length] ?? GAP;
  const at = ladder.ends.map((_, index) => TIME_COLUMNS + 2 + index * gap);
  const lines = heads(ladder, at);
  ladder.rungs.forEach((rung, index) => {
    if (ladder.skipped?.after === index) lines.push(...skippedLine(ladder.skipped.count));
    lines.push(...(rung.kind === 'note' ? noteLines(rung, at) : segmentLines(rung, at)));
  });
  lines.push(grid(at, ''));
  return lines.map((line) => line.trimEnd());

  function skippedLine(count: number): string[] {
    return [
      grid(at, ''),
      put(grid(at, ''), 0, `(${count} more)`.padEnd(TIME_COLUMNS)),
      grid(at, ''),
    ];
  }
}

function heads({ ends }: Ladder, at: number[]): string[] {
  const rows = [
    ends.map(({ text }) => printable(text)),
    ends.map(({ host }) => (host === null ? '(not recorded)' : `on ${printable(host)}`)),
    ends.map(({ process }) => printable(process ?? '')),
  ];
  const first = (at[0] ?? 0) - 1;
  const lines = rows
    .filter((cells) => cells.some((cell) => cell !== ''))
    .map((cells) =>
      cells.reduce(
        (line, cell, index) => put(line, (at[index] ?? 0) - (index === 0 ? 0 : 1), cell),
        '',
      ),
    );
  return [...lines, grid(at, ' '.repeat(first))];
}

function segmentLines(rung: SegmentRung, at: number[]): string[] {
  const [from, to] = [at[rung.from] ?? 0, at[rung.to] ?? 0];
  const [left, right] = [Math.min(from, to), Math.max(from, to)];
  const label = printable(segmentText(rung));
  const dash = rung.seen ? '-' : '.';
  const dropped = rung.verdicts.find(({ mark }) => mark === 'dropped');
  const room = right - left - 1;
  const shaft = dash.repeat(Math.max(0, room - 1));
  const head = dropped ? 'X' : to > from ? '>' : '<';
  const arrow = to === from ? '(to itself)' : to > from ? `${shaft}${head}` : `${head}${shaft}`;
  const lines = [
    put(put(grid(at, ''), 0, rungTime(rung)), left + 2, label),
    put(grid(at, ''), left + 1, arrow),
  ];
  for (const { host, text } of rung.verdicts)
    lines.push(put(grid(at, ''), left + 2, `${printable(text)} [${printable(host)}]`));
  return lines;
}

/** Right of its line where there is another one, left of it at the last. */
function noteLines(rung: NoteRung, at: number[]): string[] {
  const own = at[rung.at] ?? 0;
  const next = at[rung.at + 1];
  const left = next === undefined && rung.at > 0;
  const room = left ? own - (at[rung.at - 1] ?? 0) - 6 : (next ?? own + 60) - own - 6;
  const words = `${printable(rung.text)} [${printable(rung.host)}]`;
  return wrap(words, '', '', room).map((text, index) => {
    const line = index === 0 ? put(grid(at, ''), 0, rungTime(rung)) : grid(at, '');
    if (left) return put(line, own - 2 - text.length - 2, `${text}${index === 0 ? ' *' : ''}`);
    return put(line, own + 2, `${index === 0 ? '* ' : '  '}${text}`);
  });
}

/** The ends' lines. */
function grid(at: number[], start: string): string {
  return at.reduce((line, column) => put(line, column, '|'), start);
}

function put(line: string, column: number, text: string): string {
  return line.padEnd(column).slice(0, column) + text + line.slice(column + text.length);
}
