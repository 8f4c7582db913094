// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CountersError } from '../../src/texts/counters.ts';
import { LOGGED } from '../../src/texts/log-causes.ts';
import { random } from '../unit/diagnose/random.ts';
import { counters, findingsOf, log } from '../unit/texts/told.ts';

const TIMES = 5000;
const TEXTS = join(import.meta.dirname, '../texts');
const WHOLE = ['netstat-s.txt', 'netstat-s.proc.txt', 'failures-after.txt'].map((name) =>
  readFileSync(join(TEXTS, name), 'utf8'),
);
const NSTAT =
  'TcpExtListenDrops               7                  0.0\nTcpExtListenOverflows 3 0.0\n';
const LINES = LOGGED.map(({ line }) => line.source.replaceAll(/[\\^$()?:]/g, '')).concat(
  '[1.0] nf_conntrack: table full, dropping packet',
  '[2.0] net_ratelimit: 117 callbacks suppressed',
  'TCP: request_sock_TCP: Possible SYN flooding on port 10.0.0.1:3306. Sending cookies.',
);
const PUT_IN = [
  '\n',
  ':',
  ' ',
  '-1',
  '9'.repeat(400),
  '\u001b[2J',
  '\u202e',
  'TcpExt',
  '{',
  '"',
  '\t',
];

test('counters that are cut, mixed and overwritten are refused, or say something whole', () => {
  const next = random(5);
  let told = 0;
  for (let turn = 0; turn < TIMES; turn++) {
    const text = [...WHOLE, NSTAT][Math.floor(next() * 4)] ?? '';
    const [before, after] = [damaged(text, next), damaged(text, next)];
    try {
      for (const { count, summary, advice } of findingsOf(counters(before, after))) {
        expect(Number.isSafeInteger(count) && count > 0).toBe(true);
        expect(`${summary} ${advice.join(' ')}`).not.toMatch(/NaN|undefined|Infinity|null/);
        told++;
      }
    } catch (error) {
      expect(error).toBeInstanceOf(CountersError);
    }
  }
  expect(told).toBeGreaterThan(100);
});

test('so are logs', () => {
  const next = random(6);
  for (let turn = 0; turn < TIMES; turn++) {
    const text = Array.from({ length: 6 }, () => LINES[Math.floor(next() * LINES.length)]).join(
      '\n',
    );
    for (const { count, summary, advice } of findingsOf(log(damaged(text, next)))) {
      expect(Number.isSafeInteger(count) && count > 0).toBe(true);
      expect(`${summary} ${advice.join(' ')}`).not.toMatch(/NaN|undefined|Infinity/);
    }
  }
});

test('a line without end takes no longer than it is long', () => {
  const long = `TCP: MD5 Hash failed for (${'1.'.repeat(200_000)}, 4)->(`;
  expect(findingsOf(log(long))).toHaveLength(1);
  expect(findingsOf(log('[ '.repeat(200_000)))).toEqual([]);
});

function damaged(text: string, next: () => number): string {
  let bytes = text;
  for (let times = Math.floor(next() * 4); times > 0; times--) {
    const at = Math.floor(next() * bytes.length);
    const kind = next();
    if (kind < 0.3) bytes = bytes.slice(0, at) + bytes.slice(at + Math.floor(next() * 30));
    else if (kind < 0.4) bytes = bytes.slice(0, at);
    else if (kind < 0.7)
      bytes = bytes.slice(0, at) + PUT_IN[Math.floor(next() * PUT_IN.length)] + bytes.slice(at);
    else bytes = bytes.replace(/\d+/, String(Math.floor(next() * 1e6)));
  }
  return bytes;
}
