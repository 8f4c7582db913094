// SPDX-License-Identifier: Apache-2.0

import type { Key as InkKey } from 'ink';
import type { Key } from './keymap.ts';

/** A character that was typed, or that arrived together with others in one read. */
function ofCharacter(char: string): Key[] {
  if (char === '\r' || char === '\n') return [{ name: 'enter' }];
  if (char === '\x7f' || char === '\b') return [{ name: 'backspace' }];
  if (char === '\x03') return [{ name: 'interrupt' }];
  return /\p{Cc}/u.test(char) ? [] : [{ name: 'char', char }];
}

function ofControl(input: string): Key[] {
  if (input === 'c') return [{ name: 'interrupt' }];
  if (input === 'u') return [{ name: 'clearLine' }];
  if (input === 'w') return [{ name: 'clearWord' }];
  if (input === 'h') return [{ name: 'backspace' }];
  if (input === 'n') return [{ name: 'down' }];
  if (input === 'p') return [{ name: 'up' }];
  if (input === 'f' || input === 'd') return [{ name: 'pageDown' }];
  if (input === 'b') return [{ name: 'pageUp' }];
  return [];
}

/** The keys in what ink reports: fast typing and slow lines bring several at once. */
export function keysOf(input: string, key: InkKey): Key[] {
  if (key.eventType === 'release') return [];
  if (key.upArrow) return [{ name: 'up' }];
  if (key.downArrow) return [{ name: 'down' }];
  if (key.leftArrow) return [{ name: 'left' }];
  if (key.rightArrow) return [{ name: 'right' }];
  if (key.pageUp) return [{ name: 'pageUp' }];
  if (key.pageDown) return [{ name: 'pageDown' }];
  if (key.home) return [{ name: 'home' }];
  if (key.end) return [{ name: 'end' }];
  if (key.return) return [{ name: 'enter' }];
  if (key.escape) return [{ name: 'escape' }];
  if (key.backspace || key.delete) return [{ name: 'backspace' }];
  if (key.ctrl) return ofControl(input);
  const characters = [...input].flatMap(ofCharacter);
  // Esc and the next key in one read look like Alt and that key.
  return key.meta ? [{ name: 'escape' }, ...characters] : characters;
}
