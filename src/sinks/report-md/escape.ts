// SPDX-License-Identifier: Apache-2.0

import { printable } from '../printable.ts';

const ENTITIES: Record<string, string> = {
  '<': '&lt;',
  '>': '&gt;',
  '&': '&amp;',
  '@': '&#64;',
  '`': '&#96;',
};

/** Text that GitHub shows as it is: no markup, no HTML, nobody mentioned, nothing linked. */
export function md(text: string): string {
  return printable(text)
    .replace(/[\\*_[\]|~#!]/g, '\\$&')
    .replace(/[<>&@`]/g, (character) => ENTITIES[character] ?? character)
    .replace(/:\/\//g, ':&#47;/')
    .replace(/\bwww\./gi, 'www&#46;');
}

/** Text in a code span, also within a table. */
export function code(text: string): string {
  const shown = printable(text);
  const longest = Math.max(0, ...(shown.match(/`+/g) ?? []).map(({ length }) => length));
  const ticks = '`'.repeat(longest + 1);
  const pad = /^`|`$/.test(shown) || shown === '' ? ' ' : '';
  return `${ticks}${pad}${shown.replaceAll('|', '\\|')}${pad}${ticks}`;
}

/** Lines as they stand, in a fence that nothing in them can end. */
export function fenced(lines: readonly string[], language = ''): string[] {
  const longest = Math.max(
    2,
    ...lines.flatMap((line) => line.match(/`+/g) ?? []).map(({ length }) => length),
  );
  const fence = '`'.repeat(longest + 1);
  return [`${fence}${language}`, ...lines, fence];
}

/** Cells have to be escaped already. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, at) => (right.includes(at) ? '--:' : '---'));
  return [line(head), line(rule), ...rows.map(line)];
}
