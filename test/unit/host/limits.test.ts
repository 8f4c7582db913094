// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { limits } from '../../../src/host/limits.ts';

const MIB = 2 ** 20;

let root = '';

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tcpwhy-limits-'));
  has('self/limits', 'Max open files            1024      4096     files\n');
});

afterEach(() => rmSync(root, { recursive: true }));

function has(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

const limit = (what: string) => limits(root).find(({ of }) => of === what);

const V2 = () => has('self/mounts', `cgroup2 ${root}/v2 cgroup2 rw,nosuid 0 0\n`);
const V1 = () =>
  has(
    'self/mounts',
    `cgroup ${root}/cpu cgroup rw,cpu 0 0\ncgroup ${root}/under cgroup rw,memory 0 0\ncgroup ${root}/v1 cgroup rw,memory 0 0\n`,
  );

test('what this process may have', () => {
  expect(limit('open files')?.most).toBe(1024);
  expect(limit('addresses')?.most).toBeNull();
  has('self/limits', 'Max address space         1073741824    unlimited    bytes\n');
  expect(limit('addresses')).toMatchObject({ most: 1024, needed: 2048 });
  expect(limit('open files')?.most).toBeNull();
});

test('the lowest of a cgroup and those around it', () => {
  V2();
  has('self/cgroup', '0::/system.slice/x.service\n');
  has('v2/system.slice/memory.max', String(64 * MIB));
  has('v2/system.slice/x.service/memory.max', 'max');
  expect(limit('memory')).toMatchObject({
    most: 64,
    by: expect.stringContaining('memory.max of the cgroup /system.slice;'),
  });
});

test('in a container, whose cgroup is the root of what it sees', () => {
  V2();
  has('self/cgroup', '0::/\n');
  has('v2/memory.max', String(80 * MIB));
  expect(limit('memory')?.most).toBe(80);
});

test('of cgroups of the first version', () => {
  V1();
  has('self/cgroup', '4:cpu:/x\n3:memory:/docker/1234\n');
  has('v1/docker/1234/memory.limit_in_bytes', String(72 * MIB));
  expect(limit('memory')?.most).toBe(72);
  // Of a container that sees only its own.
  rmSync(join(root, 'v1/docker'), { recursive: true });
  has('v1/memory.limit_in_bytes', String(70 * MIB));
  expect(limit('memory')?.most).toBe(70);
});

test('no limit is none', () => {
  expect(limit('memory')?.most).toBeNull();
  V1();
  has('self/cgroup', '3:memory:/\n');
  has('v1/memory.limit_in_bytes', '9223372036854771712');
  expect(limit('memory')?.most).toBeNull();
});
