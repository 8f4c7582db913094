// SPDX-License-Identifier: Apache-2.0

import { lstatSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Recording } from '../../../src/record/write.ts';
import { encodeEvent } from '../../../src/wire/decode.ts';
import { headerWith } from '../causes/fixture.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tcpwhy-create-'));
  writeFileSync(join(folder, 'victim'), 'as it was');
});
afterEach(() => rmSync(folder, { recursive: true }));

const victim = () => readFileSync(join(folder, 'victim'), 'utf8');

test.each([
  ['a file', (path: string) => writeFileSync(path, 'old')],
  ['a link', (path: string) => symlinkSync('victim', path)],
  ['a link to nothing', (path: string) => symlinkSync('nowhere', path)],
])('a recording takes the place of %s only where it is forced to', (_, put) => {
  const path = join(folder, 'x.tcpwhy');
  put(path);
  expect(() => new Recording(path, headerWith())).toThrow(/EEXIST/);
  const recording = new Recording(path, headerWith(), null, true);
  recording.close();
  expect(lstatSync(path).isFile()).toBe(true);
  expect(lstatSync(path).mode & 0o777).toBe(0o600);
  expect(victim()).toBe('as it was');
  expect(() => lstatSync(join(folder, 'nowhere'))).toThrow(/ENOENT/);
});

test('a recording in several files takes the next name that is free', () => {
  const rotation = { max_bytes: null, max_age_ms: 1, keep: 9 };
  const recording = new Recording(join(folder, 'x.tcpwhy'), headerWith(), rotation);
  expect(recording.path).toBe(join(folder, 'x.000001.tcpwhy'));
  symlinkSync('victim', join(folder, 'x.000002.tcpwhy'));
  recording.next(Buffer.alloc(0), headerWith(), Buffer.alloc(0));
  expect(recording.path).toBe(join(folder, 'x.000003.tcpwhy'));
  expect(recording.error).toBe(null);
  recording.close();
  expect(victim()).toBe('as it was');
});

test('what is deleted while it is written goes on in the next file, where there is to be one', () => {
  const rotation = { max_bytes: null, max_age_ms: 3_600_000, keep: 9 };
  const parts = new Recording(join(folder, 'x.tcpwhy'), headerWith(), rotation);
  rmSync(parts.path);
  parts.write(encodeEvent({ tick: {} }));
  parts.flush();
  expect([parts.deleted, parts.full]).toEqual([true, true]);
  parts.next(Buffer.alloc(0), headerWith(), Buffer.alloc(0));
  expect(parts.path).toBe(join(folder, 'x.000002.tcpwhy'));
  expect([parts.deleted, parts.full, parts.error]).toEqual([false, false, null]);
  parts.close();
  const one = new Recording(join(folder, 'y.tcpwhy'), headerWith());
  rmSync(one.path);
  one.flush();
  expect([one.deleted, one.full]).toEqual([true, false]);
  one.close();
});
