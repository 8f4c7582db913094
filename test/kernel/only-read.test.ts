// SPDX-License-Identifier: Apache-2.0

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CAPABILITIES } from '../../src/host/capabilities.ts';
import { statusOf } from './asking.ts';
import { BY_SUDO, CALLER } from './caller.ts';
import { ROOT, TCPWHY } from './tcpwhy.ts';

const RECORDING = `${ROOT}test/recordings/demo.tcpwhy`;
const CAPTURE = `${ROOT}test/captures/connect-refused-server.pcap`;

/** Only root may write to it, and read what is in it. */
const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-only-read-'));
afterAll(() => rmSync(folder, { recursive: true }));
const [recording, capture] = [RECORDING, CAPTURE].map((file) => {
  const copy = join(folder, file.split('/').at(-1) ?? '');
  copyFileSync(file, copy);
  chmodSync(copy, 0o600);
  return copy;
});

const run = (args: readonly (string | undefined)[], env: NodeJS.ProcessEnv = BY_SUDO) => {
  const given = args.map((arg) => arg ?? '');
  const { status, stdout, stderr } = spawnSync(TCPWHY, given, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status, stdout, stderr };
};

describe('what only reads files, called by sudo', () => {
  it.each([
    ['replay', recording],
    ['report', recording],
    ['explain', capture],
    ['export', recording, '--to', 'ndjson'],
  ])('%s reads what root may', (...args) => {
    const asRoot = run(args, {});
    expect(asRoot.stdout).not.toBe('');
    expect(run(args)).toEqual(asRoot);
  });

  it('is who called, and may do no more than read', async () => {
    const pipe = join(folder, 'pipe');
    spawnSync('mkfifo', [pipe]);
    const child = spawn(TCPWHY, ['replay', pipe], {
      stdio: 'ignore',
      env: { ...process.env, ...BY_SUDO },
    });
    const ended = once(child, 'close');
    // Opens when it reads.
    const writer = await open(pipe, 'w');
    const ids = Array(4).fill(CALLER).join('\t');
    const reads = (1n << BigInt(CAPABILITIES.CAP_DAC_READ_SEARCH.number)).toString(16);
    const capabilities = reads.padStart(16, '0');
    const names = ['Uid', 'Gid', 'Groups', 'CapPrm', 'CapEff', 'NoNewPrivs'];
    expect(statusOf(child.pid ?? 0, ...names)).toEqual([
      ...[ids, ids, `${CALLER}`, capabilities, capabilities, '1'],
    ]);
    await writer.close();
    await ended;
  });

  it.each([['report'], ['export', '--to', 'ndjson']])(
    '%s writes as who called, and not where only root may',
    (command, ...more) => {
      const own = mkdtempSync(join(folder, 'own-'));
      chownSync(own, CALLER, CALLER);
      chmodSync(folder, 0o711);
      const file = join(own, 'x.md');
      expect(run([command, recording, ...more, '-o', file]).status).toBe(0);
      const { uid, gid, mode } = statSync(file);
      expect([uid, gid, mode & 0o777]).toEqual([CALLER, CALLER, 0o600]);
      expect(readFileSync(file, 'utf8')).toContain('accept-queue-full');

      const refused = join(folder, 'x.md');
      const { status, stdout, stderr } = run([command, recording, ...more, '-o', refused]);
      expect([status, stdout]).toEqual([2, '']);
      expect(stderr).toMatch(/^tcpwhy: cannot write .*x\.md: EACCES/);
      expect(existsSync(refused)).toBe(false);
    },
  );
});

it.each(['trace', 'replay'])('%s is not root where it is not said who called', (command) => {
  const { status, stdout, stderr } = run([command, ...(command === 'replay' ? [recording] : [])], {
    SUDO_UID: '1000',
    SUDO_GID: '4294967295',
  });
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(/^tcpwhy: SUDO_UID and SUDO_GID do not say who called sudo/);
});
