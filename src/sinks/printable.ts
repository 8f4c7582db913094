// SPDX-License-Identifier: Apache-2.0

/** Control, format (bidi, zero width, tags), unpaired surrogate, line and paragraph separator, and what has no glyph. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** Nearly all texts: they need no look at the properties of each character. */
const PLAIN = /^[ -~→×’“”]*$/;

const SHORT: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x100) return SHORT[character] ?? `\\x${code.toString(16).padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\u{${code.toString(16)}}`;
}

/**
 * JSON with everything that a terminal would obey or hide as an escape: a reader of JSON gets the same strings.
 */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value);
  return PLAIN.test(text) ? text : text.replace(INVISIBLE, jsonEscapes);
}

function jsonEscapes(character: string): string {
  const units = Array.from({ length: character.length }, (_, i) => character.charCodeAt(i));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}

/**
 * The text with everything that a terminal would obey or hide written out, in ASCII: `\x1b`, `\u202e`, `\u200b`.
 * What comes from the kernel or another process (comm, container names, interface names) goes through here
 * on its way to a terminal. Doing it twice changes nothing.
 */
export function printable(text: string): string {
  return PLAIN.test(text) ? text : text.replace(INVISIBLE, escaped);
}
