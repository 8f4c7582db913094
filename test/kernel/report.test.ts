// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rewriterLacks } from '../../src/lab/rewriter.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { shifted } from '../cli/shifted.ts';
import { TCPWHY } from './tcpwhy.ts';
import { recordTwoHosts } from './two-hosts.ts';

const TIMES = 7;
const AHEAD_NS = -91_805_000_000_123n;
const rewriting = rewriterLacks() === null;

const client = { 'synack-wrong-source': TIMES, 'connect-refused': TIMES };
const server = {
  'request-reset': TIMES,
  'no-listener': TIMES,
  ...(rewriting && { 'peer-collision': TIMES }),
};
const made = ['synack-wrong-source', 'no-listener', ...(rewriting ? ['peer-collision'] : [])];

describe('failures that two hosts recorded, in one report', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-report-'));
  let report = '';

  beforeAll(async () => {
    const scenarios = SCENARIOS.filter(({ id }) => made.includes(id));
    const files = await recordTwoHosts(scenarios, TIMES, folder, { client, server });
    const late = join(folder, 'late.tcpwhy');
    await shifted(files.server, late, 'db-3', AHEAD_NS);
    report = execFileSync(TCPWHY, ['report', files.client, late], { encoding: 'utf8' });
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  it.each(Object.entries({ ...client, ...server }))('has %s %d times', (cause, count) => {
    expect(report).toMatch(new RegExp(`^\\| \`${cause}\` \\| \\w+ \\| ${count} \\|`, 'm'));
  });

  it('has the clock of the one that is a day behind put right', () => {
    expect(report).toMatch(
      /clock of db-3 was 25 h 30 min behind that of .* \(± [\d.]+ (us|ms), from \d+ segments/,
    );
    const times = [...report.matchAll(/^\d\d:(\d\d:\d\d)\.\d{6} /gm)];
    expect(times.length).toBeGreaterThan(10);
    // Their own clocks are a day apart; on one clock all of it took less than a minute.
    expect(report).toMatch(/^\d+ \w+ \d+, [\d:]+ to [\d:]+ UTC \(\d+(\.\d)? s\)/m);
  });

  it('joins what each of them saw of one connection', () => {
    const finding = report.match(/^### \d+\. .*synack-wrong-source[\s\S]*?(?=^### )/m)?.[0] ?? '';
    const other = finding.match(/from another host: finding (\d+)/)?.[1];
    expect(report).toMatch(new RegExp(`^### ${other}\\. .*request-reset`, 'm'));
    expect(finding).toMatch(/no socket for it \[(?!db-3)/);
    expect(finding).toMatch(/the half-open connection is gone \[db-3\]/);
  });
});
