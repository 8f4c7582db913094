// SPDX-License-Identifier: Apache-2.0

import { printable } from './printable.ts';

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
