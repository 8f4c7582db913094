// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { hostId } from '../../../src/agent/host-id.ts';

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-host-id-'));
afterAll(() => rmSync(folder, { recursive: true }));
const ID = '3d1219c7c4c5404aaa1f6d2a48adfda4';
const OTHER = '00000000000000000000000000000001';

let files: string[];
let kept: string;
let said: string[];
beforeEach(() => {
  const own = mkdtempSync(join(folder, 'x-'));
  files = [join(own, 'machine-id'), join(own, 'dbus')];
  kept = join(own, 'kept');
  said = [];
});
const asked = (path = kept) => hostId(path, (text) => said.push(text), files);

test('a host is who its machine-id says, the other file where there is no first', () => {
  writeFileSync(files[1] ?? '', `${OTHER}\n`);
  expect(asked()).toBe(OTHER);
  writeFileSync(files[0] ?? '', `${ID}\n`);
  expect(asked()).toBe(ID);
  expect(said).toEqual([]);
});

test.each(['', 'uninitialized\n', '00000000000000000000000000000000', 'web1', `${ID}${ID}`])(
  'where that is %j it is given one, the same after a restart',
  (text) => {
    for (const file of files) writeFileSync(file, text);
    const id = asked();
    expect(id).toMatch(/^[0-9a-f]{32}$/);
    expect(said).toEqual([expect.stringContaining(`it is ${id} from now on, as ${kept} has it`)]);
    expect(statSync(kept).mode & 0o777).toBe(0o600);
    expect(asked()).toBe(id);
    expect(said).toHaveLength(1);
  },
);

test('two hosts without one are given two', () => {
  expect(asked()).not.toBe(asked(`${kept}-other`));
});

test('one that cannot be kept is said', () => {
  const id = asked(join(kept, 'not', 'there'));
  expect(said).toEqual([expect.stringMatching(`it is ${id} until the agent ends: ENOENT`)]);
});

test('what is damaged there is made anew', () => {
  writeFileSync(kept, 'x');
  const id = asked();
  expect(readFileSync(kept, 'utf8')).toBe(`${id}\n`);
});
