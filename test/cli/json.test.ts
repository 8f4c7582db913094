// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { misfit } from '../schema.ts';
import { RECORDINGS, TCPWHY, tcpwhy } from './run.ts';

const recordings = readdirSync(RECORDINGS, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.tcpwhy(\.zst)?$/.test(name))
  .map((name) => join(RECORDINGS, name));
const demo = join(RECORDINGS, 'demo.tcpwhy');

test.each([
  ['recordings', ['replay', '--json', '--events', '--all', ...recordings], ['start', 'summary']],
  ['a recording that was exported', ['export', demo, '--to', 'ndjson'], ['start', 'summary']],
  ['causes', ['causes', '--json'], ['cause', 'cause']],
  ['a cause', ['causes', 'no-listener', '--json'], ['cause', 'cause']],
  ['scenarios', ['lab', '--json'], ['scenario', 'scenario']],
])('%s: every line is as docs/json.schema.json says', (_, args, [first, last]) => {
  const { stdout } = spawnSync(TCPWHY, args, { encoding: 'utf8', maxBuffer: 64 << 20 });
  const lines = stdout.trimEnd().split('\n');
  const objects = lines.map((line) => JSON.parse(line));
  expect(objects.map(misfit).filter(Boolean)).toEqual([]);
  expect(objects[0].type).toBe(first);
  expect(objects.at(-1).type).toBe(last);
});

test('docs/json.md has every command and every option', () => {
  const doc = readFileSync(join(RECORDINGS, '../../docs/json.md'), 'utf8');
  const rows = doc.match(/^\| `[a-z]+.*$/gm) ?? [];
  const commands = [...tcpwhy('--help').stdout.matchAll(/^ {2}([a-z]+) (?!--)/gm)]
    .map(([, name]) => name ?? '')
    .filter((name) => name !== 'help');
  expect(commands.length).toBeGreaterThan(8);
  const trace = rows.find((row) => row.startsWith('| `trace ')) ?? '';
  for (const command of commands) {
    const own = rows.filter((row) => row.match(/^\| `([a-z]+)/)?.[1] === command).join();
    expect(own, command).not.toBe('');
    const documented = own.includes('as `trace`') ? own + trace : own;
    const options = tcpwhy(command, '--help').stdout.match(/(?<=^ {2}.*)--[a-z-]+/gm) ?? [];
    const missing = options.filter((name) => name !== '--help' && !documented.includes(name));
    expect(missing, command).toEqual([]);
  }
});
