// SPDX-License-Identifier: Apache-2.0

import stringWidth from 'string-width';
import { printable } from './printable.ts';

/** A piece of advice: words to read, or a command to copy. */
export type AdvicePart = { words: string } | { command: string };

/** Advice comes as text, in which commands stand between backticks: its parts in their order. */
export function adviceParts(advice: string): AdvicePart[] {
  return advice.split('`').flatMap((piece, i): AdvicePart[] => {
    if (i % 2 === 1) return [{ command: printable(piece.trim()) }];
    // What follows a command is often only the full stop of its sentence.
    const words = i === 0 ? piece : piece.replace(/^[.,;:)]+/, '');
    return words.trim() === '' ? [] : [{ words: printable(words.trim()) }];
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
  while (stringWidth(rest) > width) {
    const place = breaks(rest)
      .filter(
        (at) =>
          at > 0 && stringWidth(rest.slice(0, at)) + 2 <= width && rest.slice(at).trim() !== '',
      )
      .at(-1);
    if (place === undefined) break;
    lines.push(`${rest.slice(0, place)} \\`);
    rest = rest.slice(place + 1);
  }
  return [...lines, rest];
}
