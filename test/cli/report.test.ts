// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { pcap, type Row } from '../unit/capture/captures.ts';
import { RECORDINGS, TCPWHY, tcpwhy } from './run.ts';
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

describe('captures among recordings', { timeout: 30_000 }, () => {
  const [client = ''] = ends;
  /** What the server of the client's recording sent and got, as captured there. */
  const capture = () => {
    const rows = tcpwhy('replay', client, '--json', '--events')
      .stdout.trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ kind, reset_sent }) => kind === 'reset_sent' && reset_sent.dialled)
      .flatMap(({ time, reset_sent: { packet, dialled } }): Row[] => {
        const { saddr, sport, daddr, dport } = packet.flow;
        const at_ms = Date.parse(time);
        const [to, from] = [`${daddr}:${dport}`, `${saddr}:${sport}`];
        const vip = `${dialled.flow.daddr}:${dialled.flow.dport}`;
        const { seq, ack_seq: ack } = packet;
        return [
          { at_ms: at_ms - 0.2, from: to, to: vip, flags: 'S', seq: ack - 1 },
          { at_ms: at_ms - 0.1, from, to, flags: 'S.', seq, ack, win: packet.window },
          { at_ms: at_ms + 0.1, from: to, to: from, flags: 'R', seq: ack, win: 0 },
        ];
      });
    const [{ at_ms: first_ms } = { at_ms: 0 }] = rows;
    const file = join(folder, 'server.pcap');
    const since = rows.map((row) => ({ ...row, at_ms: 1 + row.at_ms - first_ms }));
    writeFileSync(file, pcap(since));
    return file;
  };

  test('are on one clock with them, and say the same of the same connections', () => {
    const { status, stdout } = tcpwhy('report', client, capture());
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /The clock of server\.pcap was \d+ h \d+ min ahead of that of vm \(± [\d.]+ us, from [1-9]\d* segments/,
    );
    const [, own] = stdout.split('### 1. ');
    expect(own).toMatch(/synack-wrong-source[\s\S]*seen from another host: finding \d/);
    expect(stdout).toContain('Packets of a capture from');
    expect(stdout).not.toMatch(/server\.pcap[^\n]*cut off/);
  });

  test('with counters and a log that were given too', () => {
    const texts = ['before', 'after'].map((when) =>
      join(RECORDINGS, 'tw-recycle-4.9/short', `${when}.netstat`),
    );
    const log = join(folder, 'dmesg');
    writeFileSync(log, '[1.0] TCP: MD5 Hash failed for (10.9.8.7, 4)->(10.9.8.8, 179)\n');
    const args = ['--counters', ...texts, capture(), '--log', log, '--anonymize'];
    const { status, stdout } = tcpwhy('report', ...args);
    expect(status).toBe(0);
    expect(stdout).toMatch(/`paws-passive` \| error \| 6 \|/);
    expect(stdout).toMatch(/`md5-mismatch` \| warning \| 1 \|/);
    expect(stdout).toContain('Counters, before and after from');
    expect(stdout).not.toContain('10.9.8.7');
    expect(stdout).not.toContain(folder);
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
    [['report'], /report needs a recording or a capture/],
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

test('a pipe is refused: its files are read twice', () => {
  const script = '"$0" report <(cat "$1")';
  const recording = join(RECORDINGS, 'demo.tcpwhy');
  const { status, stderr } = spawnSync('bash', ['-c', script, TCPWHY, recording], {
    encoding: 'utf8',
  });
  expect(status).toBe(2);
  expect(stderr).toMatch(/is a pipe, and what is in it is read more than once/);
});
