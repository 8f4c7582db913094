// SPDX-License-Identifier: Apache-2.0

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { RECORDINGS, tcpwhy } from './run.ts';

const demo = join(RECORDINGS, 'demo.tcpwhy');

/** Every command that advice has, as a machine gets it. */
const commands = new Set<string>(
  tcpwhy('replay', '--json', demo)
    .stdout.trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ type }) => type === 'finding')
    .flatMap(({ advice }: { advice: string[] }) => advice)
    .flatMap((advice) => advice.split('`').filter((_, i) => i % 2 === 1)),
);

test('advice has commands', () => {
  expect(commands.size).toBeGreaterThan(20);
  expect(commands).toContain("ss -ltnp 'sport = :8080'");
});

test('text has each on lines of its own, which a shell takes as they stand', () => {
  const text = tcpwhy('replay', demo).stdout;
  expect(text).not.toContain('`');
  const shown: string[] = text.replaceAll(/ \\\n {8}/g, ' ').match(/(?<=^ {8})\S.*/gm) ?? [];
  expect([...commands].filter((command) => !shown.includes(command))).toEqual([]);
});

test('Markdown has each in a fence of its own', () => {
  const text = tcpwhy('report', demo).stdout;
  const fences = [...text.matchAll(/^ {2}```sh\n {2}(.*)\n {2}```$/gm)].map(
    (match) => match[1] ?? '',
  );
  expect([...commands].filter((command) => !fences.includes(command))).toEqual([]);
});
