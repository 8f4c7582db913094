// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { bundle } from '../../../tools/bundle.ts';

vi.setConfig({ testTimeout: 30_000, hookTimeout: 60_000 });

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-bundle-'));
beforeAll(() => bundle(folder, true));
afterAll(() => rmSync(folder, { recursive: true }));

test.each(['tcpwhy.js', 'tcpwhy-reader.js'])(
  '%s says which file of its own it cannot read',
  (name) => {
    const begins = join(folder, name);
    const [, program = ''] = /"\.\/(tcpwhy-[^"]+)"/.exec(readFileSync(begins, 'utf8')) ?? [];
    const [, part = ''] =
      /"\.\/(tcpwhy-[^"]+)"/.exec(readFileSync(join(folder, program), 'utf8')) ?? [];
    rmSync(join(folder, part));
    mkdirSync(join(folder, part));
    const { status, stderr } = spawnSync(process.execPath, [begins, '--version'], {
      encoding: 'utf8',
    });
    expect(stderr).toMatch(
      /^tcpwhy: cannot read a file of its own: .+\n {2}Where that stays so, put .+\n$/,
    );
    expect(status).toBe(2);
  },
);
