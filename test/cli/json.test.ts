// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { misfit } from '../schema.ts';
import { RECORDINGS, TCPWHY } from './run.ts';

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
