// SPDX-License-Identifier: Apache-2.0
//
// Usage: node tools/picture.ts
//
// Draws docs/top.svg: the screen of `top`, as a terminal of 100 columns shows it at the end of the demo's
// recording.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Terminal } from '../test/cli/terminal.ts';
import { repository } from './generated.ts';

const COLUMNS = 100;
const ROWS = 30;
/** The recording takes nine seconds. */
const LIMIT_MS = 60_000;
const CELL = { width: 8, height: 17 };
const MARGIN = 12;
const INK = '#d3d7de';
const PAPER = '#16191f';
/** What a terminal calls black, red, green, yellow, blue, magenta, cyan and white. */
const COLOURS = ['#16191f', '#ff6b68', '#7ec77b', '#e5b567', '#6fa8dc', '#c792ea', '#5cc5cf', INK];

const ESCAPE = '\u001b';
/** A sequence that changes the look, or characters. */
const PARTS = new RegExp(`${ESCAPE}\\[([\\d;]*)m|([^${ESCAPE}]+)`, 'g');

interface Pen {
  ink: string;
  paper: string;
  bold: boolean;
  dim: boolean;
  inverse: boolean;
}

const PLAIN: Pen = { ink: INK, paper: PAPER, bold: false, dim: false, inverse: false };

const terminal = new Terminal('build/tcpwhy top --from test/recordings/demo.tcpwhy', COLUMNS, ROWS);
try {
  await terminal.shows(/ENDED/, LIMIT_MS);
  writeFileSync(join(repository, 'docs/top.svg'), drawn(terminal.painted()));
} finally {
  terminal.close();
}

function drawn(rows: string[]): string {
  const width = COLUMNS * CELL.width + 2 * MARGIN;
  const height = ROWS * CELL.height + 2 * MARGIN;
  return `\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>tcpwhy top</title>
<rect width="${width}" height="${height}" rx="6" fill="${PAPER}"/>
<g font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="13">
${rows.flatMap(row).join('\n')}
</g>
</svg>
`;
}

/** Runs of characters that look alike, each stretched to its cells, whatever font there is. */
function row(text: string, number: number): string[] {
  let pen = PLAIN;
  let column = 0;
  const elements: string[] = [];
  const top = MARGIN + number * CELL.height;
  for (const [, sequence, run = ''] of text.matchAll(PARTS)) {
    if (sequence !== undefined) {
      pen = sequence.split(';').reduce((before, code) => changed(before, Number(code)), pen);
      continue;
    }
    const [ink, paper] = pen.inverse ? [pen.paper, pen.ink] : [pen.ink, pen.paper];
    const x = MARGIN + column * CELL.width;
    const length = run.length * CELL.width;
    if (paper !== PAPER)
      elements.push(
        `<rect x="${x}" y="${top}" width="${length}" height="${CELL.height}" fill="${paper}"/>`,
      );
    // More than one space in a row would be one.
    for (const { 0: words, index } of run.matchAll(/\S+(?: \S+)*/g))
      elements.push(
        `<text x="${x + index * CELL.width}" y="${top + 13}" textLength="${words.length * CELL.width}"` +
          ` lengthAdjust="spacingAndGlyphs" fill="${ink}"` +
          `${pen.bold ? ' font-weight="bold"' : ''}${pen.dim ? ' opacity="0.6"' : ''}>${escaped(words)}</text>`,
      );
    column += run.length;
  }
  return elements;
}

function changed(pen: Pen, code: number): Pen {
  if (code === 0) return PLAIN;
  if (code === 1) return { ...pen, bold: true };
  if (code === 2) return { ...pen, dim: true };
  if (code === 7) return { ...pen, inverse: true };
  if (code === 39) return { ...pen, ink: INK };
  if (code === 49) return { ...pen, paper: PAPER };
  const [ink, paper] = [COLOURS[code - 30], COLOURS[code - 40]];
  if (ink) return { ...pen, ink };
  if (paper) return { ...pen, paper };
  throw new Error(`the screen has a sequence that is not drawn: ${code}`);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
