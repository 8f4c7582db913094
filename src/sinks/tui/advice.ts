// SPDX-License-Identifier: Apache-2.0

import { printable } from '../printable.ts';
import { widthOf } from './text.ts';

/** A piece of advice: words to read, or a command to copy. */
export type AdvicePart = { words: string } | { command: string };

/**
 * Advice comes as text. A command in it is what stands between backticks, or a line that begins with `$ `;
 * a single word between backticks (`somaxconn`) is a name and stays in its sentence.
 */
export function adviceParts(advice: string): AdvicePart[] {
  return advice.split('\n').flatMap((line): AdvicePart[] => {
    if (/^\s*\$ /.test(line)) return [{ command: printable(line.trim().slice(2)) }];
    const parts: AdvicePart[] = [];
    let words = '';
    for (const [i, piece] of line.split('`').entries()) {
      if (i % 2 === 0 || !piece.trim().includes(' ')) {
        words += piece;
        continue;
      }
      if (words.trim() !== '') parts.push({ words: printable(words.trim()) });
      parts.push({ command: printable(piece.trim()) });
      words = '';
    }
    // What follows a command is often only the full stop of its sentence.
    if (/[\p{L}\p{N}]/u.test(words))
      parts.push({ words: printable(words.trim().replace(/^[.,;:)]\s*/, '')) });
    return parts;
  });
}

/** Places where a shell lets a line end: blanks outside of quotes. */
function breaks(command: string): number[] {
  const places: number[] = [];
  let quote = '';
  for (let i = 0; i < command.length; i++) {
    const c = command[i] ?? '';
    if (quote !== '') {
      if (c === quote) quote = '';
    } else if (c === '\\') i++;
    else if (c === "'" || c === '"') quote = c;
    else if (c === ' ') places.push(i);
  }
  return quote === '' ? places : [];
}

/** A long command in lines that a shell still takes when they are copied as they stand. */
export function commandLines(command: string, width: number): string[] {
  const lines: string[] = [];
  let rest = command;
  while (widthOf(rest) > width) {
    const place = breaks(rest)
      .filter(
        (at) => at > 0 && widthOf(rest.slice(0, at)) + 2 <= width && rest.slice(at).trim() !== '',
      )
      .at(-1);
    if (place === undefined) break;
    lines.push(`${rest.slice(0, place)} \\`);
    rest = rest.slice(place + 1);
  }
  return [...lines, rest];
}
