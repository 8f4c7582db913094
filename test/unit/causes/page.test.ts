// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { CAUSES } from '../../../src/causes/registry.gen.ts';
import { causes, pageLines } from '../../../src/commands/causes.ts';
import { FOLDER } from './fixture.ts';

// Only the bundler can put pages in; here they are read from where they are.
vi.mock('../../../src/causes/pages.gen.ts', () => ({ PAGES: {} }));

test('wraps text and keeps code, tables and lists', () => {
  const word = 'wonderful ';
  const page = [
    '## What happened',
    '',
    `${word.repeat(6)}`.trim(),
    `${word.repeat(6)}`.trim(),
    '',
    `- ${word.repeat(9)}`.trim(),
    '  next line',
    '1. one',
    '',
    `       ss -ltn ${'x'.repeat(60)}`,
    '',
    '   goes on',
    '',
    '| a | b |',
    '|---|---|',
    '| 1 | 2 |',
  ].join('\n');
  expect(pageLines(page)).toEqual([
    'What happened',
    '',
    `  ${word.repeat(7).trim()}`,
    `  ${word.repeat(5).trim()}`,
    '',
    `  - ${word.repeat(7).trim()}`,
    `    ${word.repeat(2)}next line`,
    '  1. one',
    '',
    `         ss -ltn ${'x'.repeat(60)}`,
    '',
    '     goes on',
    '',
    '  | a | b |',
    '  | 1 | 2 |',
  ]);
});

test('a page ends with how its commands are meant', () => {
  let text = '';
  causes(['no-listener'], { json: false } as Parameters<typeof causes>[1], (more) => {
    text += more;
  });
  expect(text).toMatch(/\n\nCommands are for root.*nsenter -t PID -n COMMAND.*a reset\.\n$/s);
  expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
});

test.each(CAUSES.map(({ id }) => id))('the page of %s fits 80 columns', (id) => {
  const lines = pageLines(readFileSync(join(FOLDER, id, 'doc.md'), 'utf8'));
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
  expect(lines.filter((line) => /^\s*(##|\|-)/.test(line))).toEqual([]);
});
