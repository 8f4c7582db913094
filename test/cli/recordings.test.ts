// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { CAUSES } from '../../src/causes/registry.gen.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { RECORDINGS, TCPWHY } from './run.ts';

const NOBODY = 65_534;
const SUFFIX = /\.tcpwhy(\.zst)?$/;
const names = readdirSync(RECORDINGS).filter((name) => SUFFIX.test(name));

let first: string;
let blocks: string[];
test('text says the time in UTC, wherever it is read', () => {
  const [name = ''] = names;
  const printed = ['Asia/Tokyo', 'America/New_York', 'UTC'].map((TZ) => {
    const env = { ...process.env, TZ };
    return spawnSync(TCPWHY, ['replay', join(RECORDINGS, name)], { encoding: 'utf8', env }).stdout;
  });
  expect(new Set(printed).size).toBe(1);
  const first = blocks[0]?.match(/"last":"[\d-]+T([\d:]+)\.\d+Z"/)?.[1];
  expect(printed[0]).toContain(`${first}Z `);
});

beforeAll(() => {
  first = replay();
  // One run after the other, each from its start on.
  blocks = first.split(/^(?=\{"type":"start")/m);
}, 120_000);

/** As a user that may nothing, where that user can get at the program. */
function replay(): string {
  const run = (args: string[], user: object) =>
    spawnSync(TCPWHY, args, { encoding: 'utf8', maxBuffer: 64 << 20, ...user });
  const nobody = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  const user = run(['--version'], nobody).status === 0 ? nobody : {};
  const files = names.map((name) => join(RECORDINGS, name));
  const { stdout, stderr, status } = run(['replay', '--json', ...files], user);
  expect(stderr).toBe('');
  expect(status).toBe(1);
  return stdout;
}

/** Each finding as it was last told. */
function findings(block = ''): string[] {
  const last = new Map<string, string>();
  for (const line of block.trimEnd().split('\n')) {
    const { type, id } = JSON.parse(line);
    if (type === 'finding') last.set(id, line);
  }
  return [...last.values()];
}

test.each(names.map((name, index) => ({ name, index })))(
  '$name gives what it gave',
  ({ name, index }) => {
    const found = findings(blocks[index]);
    const expected = join(RECORDINGS, `${name.replace(SUFFIX, '')}.expected.ndjson`);
    if (process.env.UPDATE_EXPECTED) writeFileSync(expected, `${found.join('\n')}\n`);
    expect(found).toEqual(readFileSync(expected, 'utf8').trimEnd().split('\n'));
  },
);

test('all of them give the same bytes again', { timeout: 60_000 }, () => {
  expect(replay()).toBe(first);
});

const made = CAUSES.filter(({ id }) => SCENARIOS.some(({ cause }) => cause === id));
test.each(made.map(({ id }) => id))('%s has a recording, in which it is found 7 times', (id) => {
  const name = `${id}.tcpwhy.zst`;
  expect(existsSync(join(RECORDINGS, name))).toBe(true);
  const counts = findings(blocks[names.indexOf(name)])
    .map((line) => JSON.parse(line))
    .filter(({ cause }) => cause === id)
    .map(({ count }) => count);
  expect(counts.reduce((a, b) => a + b, 0)).toBe(7);
});
