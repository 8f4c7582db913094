// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { readCursor, writeCursor } from '../../../src/agent/cursor.ts';

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-cursor-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'cursor');
let why: string[] = [];
const damaged = (text: string) => why.push(text);
beforeEach(() => {
  why = [];
});
const CURSOR = { number: 7, run: '18446744073709551615', part: 3, ktime_ns: 86_400e9 };

test('what was written is read, and nothing else stays there', () => {
  writeCursor(path, CURSOR);
  writeCursor(path, { ...CURSOR, number: 8 });
  expect(readCursor(path, damaged)).toEqual({ ...CURSOR, number: 8 });
  expect(readdirSync(folder)).toEqual(['cursor']);
});

test.each([
  ...[
    '',
    '{',
    'null',
    '[]',
    '\0\0\0\0',
    '{"number":1}',
    '{"number":"1","run":"","part":1,"ktime_ns":0}',
  ],
  '{"number":-5,"run":"","part":1,"ktime_ns":0}',
])('%j is none, which is said', (text) => {
  writeFileSync(path, text);
  expect(readCursor(path, damaged)).toBeNull();
  expect(why).toEqual(['it is no cursor']);
});

test('so is what cannot be read', () => {
  expect(readCursor(folder, damaged)).toBeNull();
  expect(why).toEqual([expect.stringMatching(/^EISDIR/)]);
});

test('there may be none yet', () => {
  expect(readCursor(join(folder, 'other'), damaged)).toBeNull();
  expect(why).toEqual([]);
});
