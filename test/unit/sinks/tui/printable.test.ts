// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { printable } from '../../../../src/sinks/printable.ts';

test.each([
  ['escape sequences', '\x1b[2Jx', '\\x1b[2Jx'],
  ['C1 controls, which are escape sequences in one byte', '\x9b31m', '\\x9b31m'],
  ['bell, null, delete', '\x07\0\x7f', '\\x07\\x00\\x7f'],
  ['line ends and tabs', 'a\r\nb\tc', 'a\\r\\nb\\tc'],
  ['line and paragraph separators', '\u2028\u2029', '\\u2028\\u2029'],
  ['bidi overrides and isolates', '\u202egpj\u2066x\u2069', '\\u202egpj\\u2066x\\u2069'],
  ['zero width signs', 'a\u200bb\u200dc\ufeffd\u00ade', 'a\\u200bb\\u200dc\\ufeffd\\xade'],
  ['letters that show nothing', '\u3164\u115f', '\\u3164\\u115f'],
  ['tags', '\u{e0041}', '\\u{e0041}'],
  ['half of a surrogate pair', 'x\ud83d', 'x\\ud83d'],
])('%s are written out', (_, hostile, shown) => {
  expect(printable(hostile)).toBe(shown);
});

test.each([
  'mysqld',
  'kworker/u8:1-ev',
  'Größe',
  'デーモン',
  '😀',
  'a\\x1b',
  '10.0.0.5 → [::1]:80',
  '',
])('leaves %j alone', (text) => {
  expect(printable(text)).toBe(text);
});

test('twice is as once', () => {
  const all = Array.from({ length: 0x3000 }, (_, code) => String.fromCharCode(code)).join('');
  expect(printable(printable(all))).toBe(printable(all));
  expect(printable(all)).not.toMatch(/\p{Cc}|\p{Cf}/u);
});
