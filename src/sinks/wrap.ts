// SPDX-License-Identifier: Apache-2.0

import { printable } from './printable.ts';

/** What the lines of a terminal hold everywhere. */
export const COLUMNS = 80;

/**
 * Broken at spaces into lines of at most `columns`, which begin with `first` and `next`. A longer word
 * (a command) stays whole.
 */
export function wrap(text: string, first = '', next = '', columns = COLUMNS): string[] {
  const lines: string[] = [];
  let current = first;
  let empty = true;
  for (const word of printable(text).split(' ')) {
    if (!empty && current.length + 1 + word.length > columns) {
      lines.push(current);
      current = next;
      empty = true;
    }
    current += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, current];
}
