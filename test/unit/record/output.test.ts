// SPDX-License-Identifier: Apache-2.0

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OutputFile } from '../../../src/record/output.ts';

const PIECE = 300_000;
let folder: string;
let pipe: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tcpwhy-output-'));
  pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A process that has the pipe open for reading, and does with it what `command` says. */
async function reader(command: string) {
  const child = spawn('sh', ['-c', `exec <"$0"; echo; ${command}`, pipe], { cwd: folder });
  // Opening either end of a pipe waits for the other.
  const opened = once(child.stdout, 'data');
  const opener = spawn('sh', ['-c', 'exec sleep 60 >"$0"', pipe]);
  await opened;
  return { child, opener };
}

test('a pipe that nobody reads is refused at once', () => {
  expect(() => new OutputFile(pipe)).toThrow(/nobody reads this pipe/);
});

test('a pipe takes pieces that are larger than it, in their order', async () => {
  const { child, opener } = await reader('cat >read');
  const file = new OutputFile(pipe);
  opener.kill();
  const pieces = [1, 2, 3].map((byte) => Buffer.alloc(PIECE, byte));
  for (const piece of pieces) file.append(piece);
  file.close();
  await once(child, 'exit');
  expect(readFileSync(join(folder, 'read')).equals(Buffer.concat(pieces))).toBe(true);
});

test('a pipe whose reader stands still refuses, and goes on with whole pieces when that reads again', async () => {
  const { child, opener } = await reader('kill -STOP $$; cat >read');
  const file = new OutputFile(pipe);
  opener.kill();
  file.append(Buffer.alloc(PIECE, 1));
  expect(() => file.append(Buffer.alloc(PIECE, 2))).toThrow(/takes nothing/);
  child.kill('SIGCONT');
  const wanted = Buffer.concat([Buffer.alloc(PIECE, 1), Buffer.alloc(PIECE, 3)]);
  await expect.poll(() => tried(file, Buffer.alloc(PIECE, 3))).toBe(true);
  file.close();
  await once(child, 'exit');
  expect(readFileSync(join(folder, 'read')).equals(wanted)).toBe(true);
});

function tried(file: OutputFile, piece: Uint8Array): boolean {
  try {
    file.append(piece);
    return true;
  } catch {
    return false;
  }
}

test('a file knows when it was deleted, and when it was only cut', () => {
  const path = join(folder, 'file');
  const file = new OutputFile(path);
  file.append(Buffer.alloc(10));
  truncateSync(path);
  expect(file.deleted).toBe(false);
  rmSync(path);
  expect(file.deleted).toBe(true);
  file.close();
});
