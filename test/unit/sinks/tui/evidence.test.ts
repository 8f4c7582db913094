// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import type { Evidence } from '../../../../src/causes/define.ts';
import { adviceParts, commandLines } from '../../../../src/sinks/advice.ts';
import { evidenceRows } from '../../../../src/sinks/evidence-rows.ts';
import {
  age,
  bytes,
  clock,
  clockMicros,
  count,
  duration,
  rate,
} from '../../../../src/sinks/format.ts';
import { NOW_NS } from './models.ts';

const rows = (evidence: Evidence) =>
  evidenceRows(evidence).map(({ name, value, depth }) => `${'  '.repeat(depth)}${name}: ${value}`);

describe('rows of evidence', () => {
  test.each<[Evidence, string[]]>([
    [{ accept_queue: 129, accept_queue_max: 128 }, ['accept queue: 129 of 128']],
    [{ max_ack_backlog: 128, ack_backlog: 129 }, ['ack backlog: 129 of 128']],
    [{ accept_queue_len: 3, accept_queue_limit: 5 }, ['accept queue len: 3 of 5']],
    [{ queue_bytes: 20480, max_queue_bytes: 512 }, ['queue: 20480 bytes (20 KiB) of 512 bytes']],
    [{ retries_max: 15 }, ['retries max: 15']],
  ])('a number stands beside its limit: %j', (evidence, expected) => {
    expect(rows(evidence)).toEqual(expected);
  });

  test('units are taken from the name and written out', () => {
    expect(
      rows({ idle_ms: 3210, rto_us: 200000, gap_ns: 15000, age_s: 7325, unread_bytes: 512 }),
    ).toEqual(['idle: 3.21 s', 'rto: 200 ms', 'gap: 15 us', 'age: 2 h 2 min', 'unread: 512 bytes']);
  });

  test('a time since 1970 is a time, not a duration', () => {
    expect(rows({ first_ns: NOW_NS })).toEqual(['first: 18:56:41.000000 UTC']);
  });

  test("the kernel's own names stay, numbers are not grouped", () => {
    expect(rows({ 'net.ipv4.tcp_tw_recycle': 1, PAWSPassive: 3631476, tsval: 2088983548 })).toEqual(
      ['net.ipv4.tcp_tw_recycle: 1', 'PAWSPassive: 3631476', 'tsval: 2088983548'],
    );
  });

  test('truth and absence in words', () => {
    expect(rows({ timestamps: false, cookies: true, container: null })).toEqual([
      'timestamps: no',
      'cookies: yes',
      'container: unknown',
    ]);
  });

  test('groups and lists', () => {
    expect(
      rows({
        mib_delta: { ListenDrops: 2 },
        reasons: ['NO_SOCKET', 'TCP_FLAGS'],
        sockets: [
          { cookie: 81, rewritten_by: null },
          { cookie: 97, idle_ms: 5 },
        ],
        none: [],
        empty: {},
      }),
    ).toEqual([
      'mib delta: ',
      '  ListenDrops: 2',
      'reasons: NO_SOCKET, TCP_FLAGS',
      'sockets: cookie 81, rewritten by unknown',
      ': cookie 97, idle 5 ms',
      'none: none',
      'empty: none',
    ]);
  });

  test('neither depth, length, nor number of items is without bound', () => {
    let deep: Evidence = { end: 1 };
    for (let i = 0; i < 50; i++) deep = { in: deep };
    expect(evidenceRows(deep).length).toBeLessThan(10);
    expect(evidenceRows({ path: 'x'.repeat(1e6) })[0]?.value.length).toBeLessThan(2100);
    expect(evidenceRows({ list: Array.from({ length: 500 }, (_, i) => ({ i })) })).toHaveLength(51);
  });

  test('names and values are made printable', () => {
    expect(rows({ 'a\x1b[2J': 'b\x07' })).toEqual(['a\\x1b[2J: b\\x07']);
  });
});

describe('advice', () => {
  test('what stands between backticks is a command of its own', () => {
    expect(adviceParts('Raise it: `sysctl -w net.core.somaxconn=4096`.')).toEqual([
      { words: 'Raise it:' },
      { command: 'sysctl -w net.core.somaxconn=4096' },
    ]);
  });

  test('words go on after a command', () => {
    expect(adviceParts('Run `ss -ltn`, then `ss -K dst x` as root')).toEqual([
      { words: 'Run' },
      { command: 'ss -ltn' },
      { words: 'then' },
      { command: 'ss -K dst x' },
      { words: 'as root' },
    ]);
  });

  test('a long command is broken where a shell takes it', () => {
    const lines = commandLines('nft add rule inet filter input tcp dport 3306 accept', 24);
    expect(lines).toEqual(['nft add rule inet \\', 'filter input tcp dport \\', '3306 accept']);
    expect(lines.every((line) => line.length <= 24)).toBe(true);
  });

  test('and never inside of quotes', () => {
    expect(commandLines(`mysql -e 'SET PERSIST back_log = 4096'`, 12)).toEqual([
      'mysql -e \\',
      `'SET PERSIST back_log = 4096'`,
    ]);
    expect(commandLines(`echo "it's a b c d e f"`, 10)[1]).toBe(`"it's a b c d e f"`);
  });
});

describe('numbers', () => {
  test.each([
    [0, '0'],
    [999_999, '999999'],
    [3_631_476, '3.63M'],
    [12_345_678, '12.3M'],
    [9.9e9, '9.90G'],
    [Number.NaN, '-'],
  ])('count %d', (n, text) => {
    expect(count(n)).toBe(text);
  });

  test.each([
    [0, '0/s'],
    [0.03, '<.1/s'],
    [0.94, '0.9/s'],
    [9.97, '10/s'],
    [1204, '1204/s'],
    [45_000, '45k/s'],
    [2_500_000, '2.5M/s'],
    [Number.NaN, '0/s'],
  ])('rate %d', (n, text) => {
    expect(rate(n)).toBe(text);
    expect(rate(n).length).toBeLessThanOrEqual(6);
  });

  test.each([
    [0, '0s'],
    [99, '99s'],
    [100, '1m'],
    [5999, '99m'],
    [6000, '1h'],
    [172_800, '2d'],
    [-5, '0s'],
  ])('%d s ago', (s, text) => {
    expect(age(NOW_NS - s * 1e9, NOW_NS)).toBe(text);
  });

  test('times are UTC, none is no time', () => {
    expect(clock(NOW_NS)).toBe('18:56:41');
    expect(clockMicros(NOW_NS + 353_352_000)).toBe('18:56:41.353352');
    expect(clock(0)).toBe('--:--:--');
    expect(clock(1e300)).toBe('--:--:--');
  });

  test('durations and sizes', () => {
    expect([1, 1500, 2.5e6, 61e9, 3725e9, 86_400e9 * 3].map(duration)).toEqual([
      '1 ns',
      '1.5 us',
      '2.5 ms',
      '61 s',
      '62 min 5 s',
      '3 days',
    ]);
    expect(bytes(3 * 1024 ** 3)).toBe('3221225472 bytes (3 GiB)');
  });
});
