// SPDX-License-Identifier: Apache-2.0

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { Output, ROOT, Running, TCPWHY } from './tcpwhy.ts';

const MIX = ['no-listener', 'accept-queue-full', 'unread-data-on-close', 'netfilter-drop'];

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-test-'));
const file = join(folder, 'mix.tcpwhy');
let live: Output;

beforeAll(async () => {
  await using tcpwhy = await Running.start(['record', '-o', file]);
  for (const scenario of SCENARIOS.filter(({ id }) => MIX.includes(id))) {
    using lab = Lab.open();
    const options = { times: 7, family: 4 } as const;
    scenario.prepare?.(lab, options);
    scenario.run(lab, options);
    await tcpwhy.until((output) => output.count(scenario.cause) >= 7, 3000);
  }
  live = await tcpwhy.stop();
});

afterAll(() => rmSync(folder, { recursive: true }));

function replay(): string {
  return spawnSync(TCPWHY, ['replay', file, '--json'], { encoding: 'utf8' }).stdout;
}

it('replays to the findings that were seen live', () => {
  const replayed = new Output();
  for (const line of replay().trimEnd().split('\n')) replayed.add(line);
  const last = (output: Output) => output.findings.map((finding) => JSON.stringify(finding));
  expect(last(live).length).toBeGreaterThanOrEqual(MIX.length);
  expect(last(replayed)).toEqual(last(live));
  expect(replayed.summary).toEqual(live.summary);
});

it('replays to the same bytes each time', () => {
  expect(replay()).toBe(replay());
});

it('is read by another implementation of protobuf', () => {
  const lines = execFileSync('tools/decode-with-protoc.py', ['Header', 'Event'], {
    cwd: ROOT,
    input: readFileSync(file),
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  });
  const [header, ...events] = lines
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(header.magic).toBe('tcpwhy');
  expect(events.filter((event) => 'reset_sent' in event).length).toBe(
    live.summary.counted.reset_sent,
  );
  // Ticks carry the checks of what was written: the last of all is one.
  expect(events.findLast((event) => !('tick' in event))).toHaveProperty('footer');
});
