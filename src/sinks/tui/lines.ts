// SPDX-License-Identifier: Apache-2.0

import { printable } from '../printable.ts';
import type { Glyphs } from './glyphs.ts';
import { cut, padEnd, split, widthOf } from './text.ts';

/** What a piece of text means; `painted.ts` alone knows which colour that is. */
export type Style =
  | 'plain'
  | 'strong'
  | 'dim'
  | 'error'
  | 'warning'
  | 'info'
  | 'good'
  | 'selected'
  | 'alert'
  | 'notice';

export interface Span {
  text: string;
  style: Style;
}

/** One row of the screen. Views are functions from plain data to lines, so that width and scrolling are exact. */
export type Line = Span[];

/** The only way to make a span: whatever text comes in, nothing in it moves the cursor. */
export function span(text: string, style: Style = 'plain'): Span {
  return { text: printable(text), style };
}

export function lineWidth(line: Line): number {
  return line.reduce((sum, part) => sum + widthOf(part.text), 0);
}

/** Cut to the width, with a mark where something is missing. */
export function cutLine(line: Line, width: number, glyphs: Glyphs): Line {
  if (lineWidth(line) <= width) return line;
  const fitted: Line = [];
  let left = width - widthOf(glyphs.ellipsis);
  for (const part of line) {
    if (widthOf(part.text) > left) {
      const mark = cut(glyphs.ellipsis, Math.max(0, width), '');
      fitted.push({ text: split(part.text, left)[0] + mark, style: part.style });
      break;
    }
    fitted.push(part);
    left -= widthOf(part.text);
  }
  return fitted;
}

/** Filled with blanks to the width, all of it in one style if one is given: a bar across the screen. */
export function fill(line: Line, width: number, style?: Style): Line {
  const blanks = span(' '.repeat(Math.max(0, width - lineWidth(line))));
  const filled = blanks.text === '' ? line : [...line, blanks];
  return style === undefined ? filled : filled.map((part) => ({ text: part.text, style }));
}

/** `right` at the right edge and complete; `left` gets what is left. */
export function spread(left: Line, right: Line, width: number, glyphs: Glyphs): Line {
  const room = width - lineWidth(right) - (right.length > 0 ? 1 : 0);
  if (room <= 0) return cutLine(right, width, glyphs);
  const start = cutLine(left, room, glyphs);
  return [...start, span(padEnd('', width - lineWidth(start) - lineWidth(right))), ...right];
}

/** A line across with words in it: `── 7 findings  by severity ────── 1-9 of 37 ──`. */
export function rule(title: Line, right: string, width: number, glyphs: Glyphs): Line {
  const end = right === '' ? [] : [span(` ${right} `), span(glyphs.rule.repeat(2), 'dim')];
  const room = Math.max(0, width - lineWidth(end));
  const start = cutLine(
    [span(`${glyphs.rule.repeat(2)} `, 'dim'), ...title, span(' ')],
    room,
    glyphs,
  );
  const line = [
    ...start,
    span(glyphs.rule.repeat(Math.max(0, room - lineWidth(start))), 'dim'),
    ...end,
  ];
  return cutLine(line, width, glyphs);
}
