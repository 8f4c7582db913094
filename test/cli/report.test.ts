// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { RECORDINGS, tcpwhy } from './run.ts';
import { shifted } from './shifted.ts';

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-report-'));
afterAll(() => rmSync(folder, { recursive: true }));

const ends = ['client', 'server'].map((name) => join(RECORDINGS, 'two-hosts', `${name}.tcpwhy`));
/** The server's clock is so much ahead. */
const AHEAD_NS = 1_500_000_000n;

async function bothEnds(...more: string[]) {
  const [client = '', server = ''] = ends;
  const files = [join(folder, 'client.tcpwhy'), join(folder, 'server.tcpwhy')] as const;
  await shifted(client, files[0], 'client-7', 0n);
  await shifted(server, files[1], 'db-3', AHEAD_NS);
  return tcpwhy('report', ...files, ...more);
}

describe('two hosts in one report', { timeout: 30_000 }, () => {
  test('as Markdown', async () => {
    const { status, stdout, stderr } = await bothEnds();
    expect(stderr).toBe('');
    expect(status).toBe(0);
    await expect(stdout.replaceAll(folder, '')).toMatchFileSnapshot('report.md');
  });

  test('show what each saw of the same connections', async () => {
    const { stdout } = await bothEnds();
    expect(stdout).toMatch(
      /The clock of db-3 was 1\.5 s ahead of that of client-7 \(± \d+(\.\d)? us/,
    );
    expect(stdout).toMatch(/synack-wrong-source[\s\S]*seen from another host: finding \d/);
    const ladder = stdout.match(/on client-7 +\(not recorded\) +on db-3[\s\S]*?```/)?.[0];
    expect(ladder).toMatch(/still waits for an answer from there \[client-7\]/);
    expect(ladder).toMatch(/no socket for it \[client-7\]/);
    expect(ladder).toMatch(/the half-open connection is gone \[db-3\]/);
  });

  test('have nothing left of addresses and names where they are asked to', async () => {
    const { stdout } = await bothEnds('--anonymize');
    expect(stdout).toMatch(/synack-wrong-source/);
    expect(stdout).toMatch(/addresses and names are not the real ones/);
    for (const name of ['10.4.26', '10.141.', 'client-7', 'db-3', 'node-MainThread', folder])
      expect(stdout).not.toContain(name);
  });
});

test('the same recordings give the same bytes', { timeout: 30_000 }, () => {
  const out = ['a.html', 'b.html'].map((name) => join(folder, name));
  const recording = join(RECORDINGS, 'demo.tcpwhy');
  for (const file of out) expect(tcpwhy('report', recording, '-o', file).status).toBe(0);
  const [a, b] = out.map((file) => readFileSync(file, 'utf8'));
  expect(a).toBe(b);
  expect(statSync(out[0] ?? '').size).toBeLessThan(400_000);
  expect(statSync(out[0] ?? '').mode & 0o777).toBe(0o600);
  const again = tcpwhy('report', recording, '-o', out[0] ?? '');
  expect(again.stderr).toMatch(/a\.html exists: .*--force/);
  expect(again.status).toBe(2);
  expect(tcpwhy('report', recording, ':3306', '-o', out[0] ?? '', '--force').status).toBe(0);
  expect(readFileSync(out[0] ?? '', 'utf8')).not.toContain('peer-collision');
});

describe('wrong use', () => {
  const recording = join(RECORDINGS, 'demo.tcpwhy');
  test.each([
    [['report'], /missing required argument/],
    [['report', '/no/such/file'], /is no file/],
    [['report', recording, '-o', '/tmp/x.pdf'], /has to end with \.html or \.md/],
    [['report', recording, '-o', '/no/such/folder/x.md'], /cannot write/],
    [['report', recording, '--cause', 'bad-luck'], /no such cause/],
  ])('%j', (args, message) => {
    const { status, stdout, stderr } = tcpwhy(...args);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(status).toBe(2);
  });
});
