// SPDX-License-Identifier: Apache-2.0

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VERSION } from '../../src/version.ts';
import { RECORDINGS, tcpwhy } from './run.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
const RECORDING = join(RECORDINGS, 'demo.tcpwhy');
const SAYS = 'chosen by the caller';

const MACHINE = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

describe('the one file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-one-file-'));
  // Also for another user.
  chmodSync(folder, 0o755);
  const FILE = join(folder, 'tcpwhy');

  // As `make dist` does, but with Node and the addon as they are here.
  beforeAll(() => {
    const parts = join(folder, 'parts');
    mkdirSync(parts);
    copyFileSync(join(REPOSITORY, 'node_modules/node/bin/node'), join(parts, 'node'));
    const addon = `build/tcpwhy.linux-${process.arch}-gnu.node`;
    copyFileSync(join(REPOSITORY, addon), join(parts, 'tcpwhy.node'));
    const llvm = readFileSync(join(REPOSITORY, 'Makefile'), 'utf8').match(/^LLVM := (\d+)$/m)?.[1];
    const args = ['tools/dist/main.ts', llvm ?? '', MACHINE, 'build', parts, FILE];
    execFileSync(process.execPath, args, { cwd: REPOSITORY });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const run = (args: string[], options: object = {}) => {
    const { status, stdout, stderr } = spawnSync(FILE, args, { encoding: 'utf8', ...options });
    return { status, stdout, stderr };
  };

  test('says and does what the built program does', () => {
    expect(run(['--version']).stdout).toBe(`${VERSION}\n`);
    expect(run(['replay', RECORDING])).toEqual(tcpwhy('replay', RECORDING));
    expect(run(['--bogus'])).toEqual(tcpwhy('--bogus'));
  });

  test('has the recording that demo shows without root', () => {
    const nobody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
    const { status, stdout } = run(['demo'], { ...nobody, cwd: '/' });
    expect([status, stdout]).toEqual([0, tcpwhy('replay', RECORDING).stdout]);
  });

  test('the caller’s surroundings choose nothing of what is run', () => {
    const source = join(folder, 'preload.c');
    writeFileSync(
      source,
      `#include <stdio.h>\n__attribute__((constructor)) static void f(void) { puts("${SAYS}"); }\n`,
    );
    const preload = join(folder, 'preload.so');
    execFileSync('gcc', ['-shared', '-fPIC', '-o', preload, source]);
    const required = join(folder, 'required.cjs');
    writeFileSync(required, `console.log(${JSON.stringify(SAYS)})`);
    mkdirSync(join(folder, 'node_modules'));
    for (const name of ['package.json', 'tcpwhy.js', '.env'])
      writeFileSync(join(folder, name), `{"main": ${JSON.stringify(SAYS)}}`);
    const env = {
      PATH: folder,
      LD_PRELOAD: preload,
      LD_LIBRARY_PATH: folder,
      LD_DEBUG: 'files',
      GLIBC_TUNABLES: 'glibc.malloc.check=3',
      NODE_OPTIONS: `--require ${required}`,
      NODE_PATH: folder,
      NODE_DEBUG: 'module,esm',
      NODE_V8_COVERAGE: join(folder, 'coverage'),
      TCPWHY_FILES: `tcpwhy.node:0`,
    };
    // These do choose, where nothing takes them away.
    expect(execFileSync('/bin/true', { env, encoding: 'utf8', stdio: 'pipe' })).toContain(SAYS);
    expect(
      execFileSync(process.execPath, ['-e', ''], { env, encoding: 'utf8', stdio: 'pipe' }),
    ).toMatch(new RegExp(`${SAYS}\\n${SAYS}`));

    rmSync(join(folder, 'coverage'), { recursive: true });
    expect(run(['--version'], { env, cwd: folder })).toEqual({
      ...{ status: 0, stdout: `${VERSION}\n`, stderr: '' },
    });
    expect(readdirSync(folder)).not.toContain('coverage');
  });

  test('options of Node are none of its own', () => {
    const { status, stderr } = run([`--node-options=--require=${join(folder, 'required.cjs')}`]);
    expect([status, stderr]).toEqual([2, expect.stringMatching(/unknown option '--node-options/)]);
  });

  test.each([
    ['-n 20', /may have 20 open files, and it takes 32\. Raise the limit \(ulimit -n\)/],
    ['-v 1048576', /may have 1048576 KiB of addresses, and it takes \d+\. Raise the limit/],
    ['-d 400000', /may have 400000 KiB of data, and it takes \d+\. Raise the limit/],
    ['-s 64', /may have 64 KiB of stack, and it takes \d+\. Raise the limit/],
    ['-f 64', /may have (32|64) KiB of a file, and it takes \d+\. Raise the limit \(ulimit -f\)/],
  ])('too little to run with, ulimit %s, is said', (limit, said) => {
    const command = `ulimit ${limit}; exec "$0" --version`;
    const { status, stdout, stderr } = spawnSync('sh', ['-c', command, FILE], { encoding: 'utf8' });
    expect([status, stdout, stderr]).toEqual([2, '', expect.stringMatching(said)]);
  });

  test('what it opens is never taken for stdout', () => {
    const command = `exec "$0" --version <&- >&- 2>&-`;
    expect(spawnSync('sh', ['-c', command, FILE]).status).toBe(0);
  });

  describe('while it runs', () => {
    let child: ChildProcess;
    let writer: FileHandle;
    let said = '';
    let ended: Promise<unknown[]>;
    beforeAll(async () => {
      const pipe = join(folder, 'pipe');
      execFileSync('mkfifo', [pipe]);
      // SIGHUP is ignored, as nohup has it.
      child = spawn('sh', ['-c', `trap '' HUP; exec "$0" replay ${pipe}`, FILE], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      child.stderr?.on('data', (chunk) => {
        said += chunk;
      });
      ended = once(child, 'close');
      // Opens when it reads.
      writer = await open(pipe, 'w');
    });
    afterAll(() => child.kill('SIGKILL'));

    test('nobody can write to the files that are in it', () => {
      const fds = `/proc/${child.pid}/fd`;
      const held = readdirSync(fds).filter((fd) => /^\/memfd:/.test(readlinkSync(join(fds, fd))));
      expect(held.map((fd) => readlinkSync(join(fds, fd)).replace(' (deleted)', ''))).toEqual(
        [
          'tcpwhy.node',
          'tcpwhy.bpf.o',
          'getpeername.bpf.o',
          'dropping.bpf.o',
          'security.bpf.o',
          'demo.tcpwhy',
        ].map((name) => `/memfd:${name}`),
      );
      for (const fd of held) {
        const write = () => writeSync(openSync(join(fds, fd), 'r+'), 'x');
        expect(write).toThrow(/EPERM/);
      }
    });

    test('a hangup that is ignored ends nothing, and SIGUSR1 opens no debugger', async () => {
      child.kill('SIGHUP');
      child.kill('SIGUSR1');
      await writer.write('no recording');
      await writer.close();
      expect(await ended).toEqual([2, null]);
      expect(said).toMatch(/^tcpwhy: .* is no recording of tcpwhy: .*\n$/);
    });
  });
});
