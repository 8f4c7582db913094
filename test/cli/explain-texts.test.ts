// SPDX-License-Identifier: Apache-2.0

import { linkSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { misfit } from '../schema.ts';
import { RECORDINGS, tcpwhy, tcpwhyOf } from './run.ts';

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-texts-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const TEXTS = join(import.meta.dirname, '../texts');
const [BEFORE, AFTER] = [join(TEXTS, 'failures-before.txt'), join(TEXTS, 'failures-after.txt')];
const LOG = file('log', '[1.0] TCP: too many orphaned sockets\n[2.0] anything else\n');
const RECYCLED = join(RECORDINGS, 'tw-recycle-4.9/real-client');

const parsed = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

test('counters alone: text, what they do not say, and the exit status of a finding', () => {
  const { status, stdout, stderr } = tcpwhy('explain', '--counters', BEFORE, AFTER);
  expect(stderr).toBe('');
  expect(status).toBe(1);
  expect(stdout).toContain('3631476 × E paws-passive');
  expect(stdout.replace(/\s+/g, ' ')).toContain(
    'of 3631812 SYNs and third ACKs that a listener refused (TcpExt.ListenDrops) 3631476 are TcpExt.PAWSPassive: the other 336 are unnamed',
  );
  expect(stdout.replace(/\s+/g, ' ')).toContain('does not say which source address');
  expect(stdout).toContain('Tcp.OutRsts +1: resets sent; not why');
});

test('counters and a log as JSON', () => {
  const { status, stdout } = tcpwhy('explain', '--json', '--log', LOG, '--counters', BEFORE, AFTER);
  expect(status).toBe(1);
  const lines = parsed(stdout);
  expect(lines.map(misfit).filter(Boolean)).toEqual([]);
  const types = lines.map(({ type }) => type);
  expect(types).toEqual(
    'start finding finding counters summary start finding log summary'.split(' '),
  );
  expect(lines[0]).toMatchObject({ tier: 'counters', host: `${BEFORE} → ${AFTER}` });
  expect(lines[4]).toMatchObject({ unexplained: 336, findings: { 'paws-passive': 3_631_476 } });
  expect(lines[3].moved).toContainEqual({
    counter: 'Tcp.OutRsts',
    before: 120,
    after: 121,
    says: 'resets sent; not why',
  });
  expect(lines[6]).toMatchObject({ cause: 'orphan-limit', count: 1 });
  expect(lines[7]).toEqual({ type: 'log', file: LOG, lines: 2, told: 1 });
});

test.each([
  ['before the options', (files: string[]) => [join(RECYCLED, 'pcap'), '--counters', ...files]],
  ['behind them', (files: string[]) => ['--counters', ...files, join(RECYCLED, 'pcap'), ':8080']],
])('what moved comes first among the candidates of a capture, given %s', (_, args) => {
  const files = ['before', 'after'].map((when) => join(RECYCLED, `${when}.netstat`));
  const { status, stdout } = tcpwhy('explain', '--json', ...args(files));
  expect(status).toBe(1);
  const symptom = parsed(stdout).find(({ cause }) => cause === 'syn-unanswered');
  expect(symptom.evidence).toMatchObject({
    candidates: ['paws-passive', 'netfilter-drop', 'conntrack-full', 'not-our-address'],
    moved: ['TcpExt.PAWSPassive 6'],
  });
});

test('a log that comes from stdin', () => {
  const log = '[1.0] TCP: too many orphaned sockets\n';
  const { status, stdout } = tcpwhyOf(log, 'explain', '--json', '--log', '-');
  expect(status).toBe(1);
  expect(parsed(stdout).find(({ type }) => type === 'finding')).toMatchObject({
    cause: 'orphan-limit',
    count: 1,
  });
});

const COUNTERS = 'TcpExt: ListenOverflows TCPReqQFullDrop PAWSPassive\nTcpExt: 4 0 11\n';

test('what did not move is no candidate', () => {
  const same = file('same', COUNTERS);
  const again = file('again', COUNTERS);
  const { stdout } = tcpwhy('explain', '--json', '--counters', same, again, join(RECYCLED, 'pcap'));
  const lines = parsed(stdout);
  expect(lines.find(({ type }) => type === 'counters').moved).toEqual([]);
  const { evidence } = lines.find(({ cause }) => cause === 'syn-unanswered');
  expect(evidence.candidates).toEqual([
    'netfilter-drop',
    'rp-filter',
    'conntrack-full',
    'not-our-address',
    'md5-mismatch',
  ]);
});

test('nothing moved', () => {
  const [one, other] = ['x', 'y'].map((name) => file(name, 'TcpExtListenDrops 3 0.0\n'));
  const { status, stdout } = tcpwhy('explain', '--counters', String(one), String(other));
  expect(status).toBe(0);
  expect(stdout).toContain('no counter moved');
  expect(stdout).toContain('No failure seen.');
});

const twin = join(folder, 'twin');
linkSync(BEFORE, twin);
test.each<[string, string[], RegExp]>([
  ['one file', ['--counters', BEFORE], /needs two files/],
  ['nothing', [], /needs a capture, --counters BEFORE AFTER, or --log FILE/],
  ['the same file twice', ['--counters', BEFORE, BEFORE], /are the same file/],
  ['the same under two names', ['--counters', BEFORE, twin], /are the same file/],
  ['the later one first', ['--counters', AFTER, BEFORE], /wrong order/],
  ['a capture', ['--counters', BEFORE, join(RECYCLED, 'pcap')], /pcap is no text/],
  ['a recording as a log', ['--log', join(RECORDINGS, 'demo.tcpwhy')], /is no text/],
  ['no such file', ['--counters', BEFORE, join(folder, 'none')], /cannot read .*none/],
  ['a folder', ['--log', folder], /cannot read/],
  ['a cut text', ['--counters', BEFORE, file('cut', 'TcpExt:\n   3 SYNs to LIS')], /cut off/],
])('%s is refused', (_, args, why) => {
  const { status, stdout, stderr } = tcpwhy('explain', ...args);
  expect(stderr).toMatch(why);
  expect(status).toBe(2);
  expect(stdout).toBe('');
});

test('lines that nothing is known of are told on stderr', () => {
  const [one, other] = [1, 2].map((sent) =>
    file(`sent${sent}`, `TcpExt:\n    ${sent} SYN cookies sent\n    3 Dinge verworfen\u001b[2J\n`),
  );
  const { status, stderr } = tcpwhy('explain', '--counters', String(one), String(other));
  expect(status).toBe(0);
  expect(stderr).toContain('1 lines say of no known counter how much it is, the first:');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal would obey.
  expect(stderr).not.toMatch(/\u001b/);
});
