// SPDX-License-Identifier: Apache-2.0

import stringWidth from 'string-width';

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
const ASCII_ONLY = /^[\x20-\x7e]*$/;

/** Columns that the text takes on a terminal. */
export function widthOf(text: string): number {
  return ASCII_ONLY.test(text) ? text.length : stringWidth(text);
}

/** As much of the start of the text as fits, and the rest; a wide character is never halved. */
export function split(text: string, width: number): [string, string] {
  if (ASCII_ONLY.test(text))
    return [text.slice(0, Math.max(0, width)), text.slice(Math.max(0, width))];
  let used = 0;
  for (const { segment, index } of graphemes.segment(text)) {
    used += stringWidth(segment);
    if (used > width) return [text.slice(0, index), text.slice(index)];
  }
  return [text, ''];
}

/** The text in at most `width` columns; a mark at the end says that something is missing. */
export function cut(text: string, width: number, mark: string): string {
  if (widthOf(text) <= width) return text;
  if (width <= widthOf(mark)) return split(mark, width)[0];
  return split(text, width - widthOf(mark))[0] + mark;
}

/** The end of the text in at most `width` columns, as a line of typing shows it. */
export function cutStart(text: string, width: number, mark: string): string {
  if (widthOf(text) <= width) return text;
  let end = '';
  for (const { segment } of [...graphemes.segment(text)].reverse()) {
    if (widthOf(mark + segment + end) > width) break;
    end = segment + end;
  }
  return mark + end;
}

export function padEnd(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - widthOf(text)));
}

export function padStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - widthOf(text))) + text;
}

/** Broken at spaces; a word longer than the line is broken where the line ends. */
export function wrap(text: string, width: number): string[] {
  const room = Math.max(1, width);
  const lines: string[] = [];
  let line = '';
  for (let word of text.split(' ')) {
    const joined = line === '' ? word : `${line} ${word}`;
    if (widthOf(joined) <= room) {
      line = joined;
      continue;
    }
    if (line !== '') lines.push(line);
    while (widthOf(word) > room) {
      const [head, tail] = split(word, room);
      if (head === '') break;
      lines.push(head);
      word = tail;
    }
    line = word;
  }
  if (line !== '' || lines.length === 0) lines.push(line);
  return lines;
}

/** The text without its last character, as one sees characters. */
export function dropLast(text: string): string {
  const last = [...graphemes.segment(text)].at(-1);
  return last === undefined ? '' : text.slice(0, last.index);
}
