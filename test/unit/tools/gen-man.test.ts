// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { COMMANDS } from '../../../src/app/commands.ts';
import { many, toggle } from '../../../src/app/declare.ts';
import { manPage } from '../../../tools/gen-man/texts.ts';

const HAS_MANDOC = spawnSync('mandoc', ['-T', 'lint'], { input: '' }).error === undefined;

const FLAGS = {
  everyRecord: toggle('a line that begins .with a dot, C:\\ and a peer’s'),
  output: { ...many('<file>', 'where to', String), short: 'o' },
  secret: toggle('', { hidden: true }),
};

test('a command has its options, but for hidden ones', () => {
  const page = manPage(
    { go: { about: 'goes', args: ['<file|target...>', ''], flags: FLAGS } },
    '1',
  );
  expect(page).toContain('.B tcpwhy go\n[\\fIoption\\fR...] \\fIfile\\fR|\\fItarget\\fR...\n');
  expect(page).toContain(
    '.TP\n\\fB\\-\\-every\\-record\\fR\na line that begins .with a dot, C:\\e and a peer\\(cqs\n',
  );
  expect(page).toContain('.TP\n\\fB\\-o\\fR, \\fB\\-\\-output\\fR \\fIfile\\fR\nwhere to\n');
  expect(page).not.toContain('secret');
});

test('no line of text is a request', () => {
  const flags = { all: toggle(`${'x'.repeat(99)} .so /etc/passwd`) };
  const page = manPage({ go: { about: 'goes', flags } }, '1');
  expect(page).toContain('\n\\&.so /etc/passwd\n');
});

test.skipIf(!HAS_MANDOC)('mandoc has nothing to say of it (tools/setup installs it)', () => {
  const page = manPage(COMMANDS, '1.0.0');
  const { stdout } = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning'], {
    input: page,
    encoding: 'utf8',
  });
  // A page that is the same whenever it is made has no date.
  expect(stdout.split('\n').filter((line) => line && !line.includes('missing date'))).toEqual([]);
  expect(spawnSync('mandoc', ['-T', 'lint'], { input: '.TH\n.XX\n' }).status).not.toBe(0);
});
