// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { processState } from '../../../src/host/process.ts';

let proc = '';

beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), 'tcpwhy-proc-'));
  mkdirSync(join(proc, 'self/ns'), { recursive: true });
  symlinkSync('pid:[4026531836]', join(proc, 'self/ns/pid'));
});

afterEach(() => rmSync(proc, { recursive: true }));

/** A process of so many files. */
function runs(pid: number, stat: string, files: number, most = '1024', tracer = 0): void {
  const of = join(proc, String(pid));
  mkdirSync(join(of, 'fd'), { recursive: true });
  for (let fd = 0; fd < files; fd++) writeFileSync(join(of, 'fd', String(fd)), '');
  writeFileSync(join(of, 'stat'), `${pid} ${stat} 1 1`);
  writeFileSync(join(of, 'comm'), 'gdb\n');
  writeFileSync(join(of, 'cgroup'), '0::/nowhere\n');
  writeFileSync(join(of, 'status'), `Name:\tx\nTracerPid:\t${tracer}\n`);
  writeFileSync(
    join(of, 'limits'),
    `Limit\nMax open files            ${most}      4096     files\n`,
  );
}

test('a process that runs, with its files', () => {
  runs(7, '(java) S', 3);
  const well = {
    halted: '',
    tracer: '',
    open_files: 3,
    open_files_max: 1024,
    gone: 0,
    waits_in: '',
  };
  expect(processState(7, proc)).toEqual({ pid: 7, ...well });
});

test('its name may hold what ends a name', () => {
  runs(7, '(x) S (y) T', 0, 'unlimited');
  expect(processState(7, proc)).toMatchObject({ halted: 'stopped', open_files_max: 0 });
});

test('who traces it is named', () => {
  runs(9, '(gdb) S', 0);
  runs(7, '(java) t', 0, '1024', 9);
  expect(processState(7, proc)).toMatchObject({ halted: 'traced', tracer: 'gdb (9)' });
});

test('one that a freezer of the first version of cgroups holds', () => {
  runs(7, '(java) D', 0);
  const freezer = join(proc, 'freezer');
  mkdirSync(join(freezer, 'docker/abc'), { recursive: true });
  writeFileSync(join(proc, 'self/mounts'), `cgroup ${freezer} cgroup rw,nosuid,freezer 0 0\n`);
  writeFileSync(join(proc, '7/cgroup'), '8:pids:/x\n7:freezer:/docker/abc\n0::/nowhere\n');
  writeFileSync(join(freezer, 'docker/abc/freezer.state'), 'THAWED\n');
  expect(processState(7, proc)).toMatchObject({ halted: '' });
  writeFileSync(join(freezer, 'docker/abc/freezer.state'), 'FROZEN\n');
  expect(processState(7, proc)).toMatchObject({ halted: 'frozen' });
});

test('one that is gone', () => {
  expect(processState(7, proc)).toMatchObject({ pid: 7, gone: 1 });
});

test('one that only waits for its parent to hear of it', () => {
  runs(7, '(psql) Z', 0);
  expect(processState(7, proc)).toMatchObject({ pid: 7, gone: 1 });
});

test('nothing is told where numbers of processes are others', () => {
  rmSync(join(proc, 'self/ns/pid'));
  symlinkSync('pid:[4026532000]', join(proc, 'self/ns/pid'));
  runs(7, '(java) T', 0);
  expect(processState(7, proc)).toBeNull();
});

test('but where /proc is the host’s own', () => {
  rmSync(join(proc, 'self/ns/pid'));
  symlinkSync('pid:[4026532000]', join(proc, 'self/ns/pid'));
  runs(7, '(java) T', 0);
  mkdirSync(join(proc, '2'));
  writeFileSync(join(proc, '2/comm'), 'kthreadd\n');
  expect(processState(7, proc)).toMatchObject({ halted: 'stopped' });
});
