// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const REPOSITORY = join(import.meta.dirname, '../../..');
const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-closing-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs tests of which so many pass, fail, are skipped and pass when they are run again. */
function run(
  counts: Partial<Record<'passing' | 'failing' | 'skipped' | 'again' | 'unseen', number>>,
) {
  const { passing = 0, failing = 0, skipped = 0, again = 0, unseen = 0 } = counts;
  const times = (count: number, source: string) => Array(count).fill(source).join('\n');
  const source = [
    'let tries = 0;',
    times(passing, "test('passes', () => {});"),
    times(failing, "test('fails', () => { throw new Error('as it shall'); });"),
    times(skipped, "test.skip('is skipped', () => {});"),
    times(again, "test('passes at last', () => { if (++tries % 2) throw new Error('once'); });"),
    times(
      unseen,
      "test('is not seen', ({ task }) => { task.meta.unseen = 1; if (++tries % 2) throw new Error('once'); });",
    ),
  ].join('\n');
  writeFileSync(join(folder, 'some.test.js'), source);
  const { status, stdout } = spawnSync(
    join(REPOSITORY, 'node_modules/.bin/vitest'),
    [
      ...['run', '--globals', '--retry', '1', '--root', folder],
      ...['--reporter', join(REPOSITORY, 'tools/vitest/closing-line.ts')],
    ],
    { encoding: 'utf8', env: { ...process.env, VITEST: '' } },
  );
  return { status, lines: stdout.trimEnd().split('\n') };
}

test('says what there was, in one form', () => {
  const { status, lines } = run({ passing: 2, failing: 1 });
  expect(lines).toEqual(['failed: some.test.js > fails: as it shall', '2 passed, 1 failed']);
  expect(status).toBe(1);
  expect(run({ passing: 1, skipped: 2 })).toEqual({
    status: 0,
    lines: ['1 passed, 0 failed, 2 skipped'],
  });
});

test('tells of what needed a second try', () => {
  const { status, lines } = run({ passing: 1, again: 3 });
  expect(lines).toEqual([
    ...Array(3).fill('second try: passes at last: once'),
    '3 needed a second try',
    '',
    '4 passed, 0 failed',
  ]);
  expect(status).toBe(0);
});

test('fails where more than a few did', () => {
  const { status, lines } = run({ again: 4 });
  expect(lines.slice(4)).toEqual([
    '4 needed a second try: more than 3 is a failure',
    '',
    '4 passed, 1 failed',
  ]);
  expect(status).toBe(1);
});

test('what could not be seen is told, and no failure', () => {
  const { status, lines } = run({ unseen: 5 });
  expect(lines).toEqual([
    ...Array(5).fill('second try, what happened was not all to be seen: is not seen: once'),
    '5 needed a second try',
    '',
    '5 passed, 0 failed',
  ]);
  expect(status).toBe(0);
});
