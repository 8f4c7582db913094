// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { RecordingError } from '../../src/record/read.ts';
import { recordingOf, seedsOf } from '../../tools/fuzz/events.ts';
import { checkOutputs } from '../../tools/fuzz/outputs.ts';
import { random } from '../unit/diagnose/random.ts';

const TIMES = 150;

vi.setConfig({ testTimeout: 300_000 });

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-senseless-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('every output of valid but senseless events is whole', async () => {
  const seeds = seedsOf(join(import.meta.dirname, '../recordings'));
  const file = join(folder, 'x.tcpwhy');
  const failures: string[] = [];
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  for (let seed = 1; seed <= TIMES; seed++) {
    writeFileSync(file, recordingOf(seeds, random(seed)));
    try {
      await checkOutputs(file);
    } catch (error) {
      if (!(error instanceof RecordingError)) failures.push(`${seed}: ${(error as Error).message}`);
    }
  }
  expect(failures).toEqual([]);
});

/** What was taken for the other end of another failure, of which nothing is left to say, and is more than that. */
test('so is that of what is kept only to be counted', async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  await checkOutputs(join(import.meta.dirname, 'taken-for-the-other-end.tcpwhy.zst'));
});
