// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { ASCII, glyphsFor, UNICODE } from '../../../../src/sinks/tui/glyphs.ts';
import { cutLine, fill, lineWidth, rule, span, spread } from '../../../../src/sinks/tui/lines.ts';
import { spark } from '../../../../src/sinks/tui/spark.ts';
import { cut, cutStart, dropLast, widthOf, wrap } from '../../../../src/sinks/tui/text.ts';

const text = (line: { text: string }[]) => line.map((part) => part.text).join('');

describe('width', () => {
  test('a wide character takes two columns and is never halved', () => {
    expect(widthOf('デb')).toBe(3);
    expect(cut('デーモン', 4, '…')).toBe('デ…');
    expect(cut('デーモン', 8, '…')).toBe('デーモン');
  });

  test('the end of what is typed stays in sight', () => {
    expect(cutStart('10.4.26.234:80', 8, '…')).toBe('….234:80');
    expect(cutStart('short', 8, '…')).toBe('short');
    expect(cutStart('anything', 0, '…')).toBe('…');
  });

  test('the last character is what one sees as one', () => {
    expect(dropLast('añ')).toBe('a');
    expect(dropLast('x👩‍💻')).toBe('x');
    expect(dropLast('')).toBe('');
  });
});

describe('wrap', () => {
  test('at spaces, and inside of words that are longer than the line', () => {
    expect(wrap('one two three', 7)).toEqual(['one two', 'three']);
    expect(wrap('aaaaaaaaaa b', 4)).toEqual(['aaaa', 'aaaa', 'aa b']);
    expect(wrap('', 4)).toEqual(['']);
  });

  test('ends where a character is wider than the line', () => {
    expect(wrap('デデ', 1)).toEqual(['デデ']);
    expect(wrap('abc', 0)).toEqual(['a', 'b', 'c']);
  });
});

describe('lines', () => {
  test('no span holds a control character', () => {
    expect(span('\x1b[31m').text).toBe('\\x1b[31m');
  });

  test('a line is cut to its width with a mark', () => {
    const line = [span('abc'), span('def', 'strong'), span('ghi')];
    expect(text(cutLine(line, 9, UNICODE))).toBe('abcdefghi');
    expect(text(cutLine(line, 7, UNICODE))).toBe('abcdef…');
    expect(text(cutLine(line, 6, UNICODE))).toBe('abcde…');
    expect(text(cutLine(line, 1, UNICODE))).toBe('…');
    expect(text(cutLine(line, 0, UNICODE))).toBe('');
  });

  test.each([0, 1, 5, 10, 40])('never wider than %i', (width) => {
    const left = [span('left '.repeat(4))];
    const right = [span('right')];
    expect(lineWidth(spread(left, right, width, UNICODE))).toBeLessThanOrEqual(width);
    expect(lineWidth(rule(left, '1-9 of 37', width, UNICODE))).toBeLessThanOrEqual(width);
    expect(lineWidth(fill([], width))).toBe(width);
  });
});

describe('spark', () => {
  test('newest at the right, nothing and little differ', () => {
    expect(spark([0, 0, 1, 100], 4, UNICODE)).toBe('··▁█');
    expect(spark([1, 2], 4, UNICODE)).toBe('··▄█');
    expect(spark([], 4, UNICODE)).toBe('····');
    expect(spark([1], 0, UNICODE)).toBe('');
  });

  test('thirty seconds in eight columns', () => {
    const history = Array.from({ length: 30 }, (_, i) => (i === 29 ? 5 : 0));
    expect(spark(history, 8, UNICODE)).toBe('·······█');
    expect(spark(history, 8, ASCII)).toBe('       #');
  });

  test('numbers that are none do no harm', () => {
    expect(spark([Number.NaN, -3, 2], 3, UNICODE)).toBe('··█');
  });
});

describe('glyphs', () => {
  test.each([
    [{ TERM: 'xterm-256color', LANG: 'C.UTF-8' }, UNICODE],
    [{ TERM: 'xterm-256color' }, UNICODE],
    [{ TERM: 'xterm', LANG: 'en_US.UTF-8', LC_ALL: 'C' }, ASCII],
    [{ TERM: 'linux', LANG: 'en_US.UTF-8' }, ASCII],
    [{ TERM: 'vt220' }, ASCII],
  ])('%j', (env, glyphs) => {
    expect(glyphsFor(env)).toBe(glyphs);
  });
});
