// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { rowsOf, schemaWith } from '../../../tools/gen-json/texts.ts';
import { checker } from '../../schema.ts';

const DOCS = join(import.meta.dirname, '../../../docs');
const KIND = {
  kind: 'ping',
  is: 'a ping',
  fields: ['from', 'reason'],
  names: ['reason_name'],
};

test('a kind of event has its row, in place of those that were there', () => {
  const page = rowsOf(readFileSync(join(DOCS, 'json.md'), 'utf8'), [KIND]);
  expect(page).toContain('only |\n| `ping` | object | a ping; with `reason_name` |\n\n');
  expect(rowsOf(page, [KIND])).toBe(page);
});

test('an event of a kind has its body, with the names, and no other', () => {
  const misfit = checker(
    JSON.parse(schemaWith(readFileSync(join(DOCS, 'json.schema.json'), 'utf8'), [KIND])),
  );
  const event = {
    type: 'event',
    seq: 1,
    time: '2026-11-28T00:00:00.000Z',
    cpu: 0,
    netns: 1,
    occurrences: 1,
  };
  const ping = { from: 'here', reason: 2, reason_name: null };
  expect(misfit({ ...event, kind: 'ping', ping })).toBe('');
  expect(misfit({ ...event, kind: 'ping', ping: { from: 'here', reason: 2 } })).not.toBe('');
  expect(misfit({ ...event, kind: 'ping' })).not.toBe('');
  expect(misfit({ ...event, kind: 'drop', ping })).not.toBe('');
});
