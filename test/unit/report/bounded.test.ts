// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import type { Finding } from '../../../src/diagnose/finding.ts';
import { Buckets, roundWidth, timelineOf } from '../../../src/report/buckets.ts';
import { choose } from '../../../src/report/choose.ts';
import { MOST_ALIKE } from '../../../src/report/handshakes.ts';
import { Sample } from '../../../src/report/sample.ts';
import { Segments } from '../../../src/report/segments.ts';
import type { Step } from '../../../src/report/steps.ts';
import { TopCounts } from '../../../src/report/top-counts.ts';
import { TCP_FLAG } from '../../../src/tcp/flags.ts';
import { random } from '../diagnose/random.ts';

describe('buckets', () => {
  test('hold every occurrence, however long it goes on', () => {
    const next = random(1);
    const buckets = new Buckets(0);
    let sum = 0;
    for (let i = 0; i < 20_000; i++) {
      const count = 1 + Math.floor(next() * 3);
      buckets.add('a', next() * i * 1e9, count);
      sum += count;
    }
    buckets.add('a', 5e9, -1);
    const all = [...buckets.entries()];
    expect(all.reduce((total, { count }) => total + count, 0)).toBe(sum - 1);
    expect(all.length).toBeLessThanOrEqual(512);
  });

  test('of several hosts come on one axis, each by its clock', () => {
    const [one, other] = [new Buckets(0), new Buckets(100e9)];
    one.add('a', 10e9, 2);
    other.add('a', 110e9, 3);
    other.add('b', 119e9, 1);
    const hosts = [
      { buckets: [one], onReport: (ns: number) => ns },
      { buckets: [other], onReport: (ns: number) => ns - 100e9 },
    ];
    const { lanes, start_ns, width_ns } = timelineOf(hosts, ['a', 'b'], 0, 20e9);
    const busy = lanes.map(({ counts }) =>
      counts.flatMap((count, at) => (count > 0 ? [[(start_ns + at * width_ns) / 1e9, count]] : [])),
    );
    expect(busy).toEqual([[[10, 5]], [[19, 1]]]);
  });

  test.each([
    [10e6, 10e6],
    [11e6, 20e6],
    [0.3e9, 0.5e9],
    [4e9, 5e9],
    [6e9, 10e9],
    [61e9, 120e9],
    [50_000e9, 86_400e9],
    [100_000e9, 172_800e9],
  ])('of at least %d ns are %d ns wide', (least, width) => {
    expect(roundWidth(least)).toBe(width);
  });
});

test('of connections that all have one first sequence number a few are kept', () => {
  const segments = new Segments();
  for (let sport = 1; sport <= 5000; sport++)
    segments.add(
      {
        ...{ kind: 'segment', role: 'received', earlier: false, note: '' },
        flow: { ...FLOW, sport },
        ...{ flags: TCP_FLAG.syn, seq: 7, ack: 0, len: 0, ttl: null },
      } as unknown as Step,
      sport,
    );
  expect(segments.handshakes.get('7')?.size).toBe(MOST_ALIKE + 1);
});

const FLOW = { saddr: '10.0.0.1', sport: 1, daddr: '10.0.0.2', dport: 80, service: 0 };

test('samples of overlapping sets overlap', () => {
  const [a, b] = [new Sample<number>(500), new Sample<number>(500)];
  for (let i = 0; i < 40_000; i++) {
    a.update(`key ${i}`, () => i);
    b.update(`key ${i + 20_000}`, () => i);
  }
  const [mine, yours] = [[...a.entries()], [...b.entries()]];
  expect(Math.max(mine.length, yours.length)).toBeLessThanOrEqual(1000);
  const shared = mine.filter(([key]) => b.get(key) !== undefined);
  // Half of what there is is in both, so about half of what is kept has to be.
  expect(shared.length).toBeGreaterThan(150);
});

test('the frequent ends stay exact among many rare ones', () => {
  const ends = new TopCounts();
  for (let i = 0; i < 50_000; i++) {
    ends.add(`10.0.${i % 256}.${i >> 8}:${i}`, 'a', 1);
    ends.add(i % 3 === 0 ? 'one' : 'other', i % 2 === 0 ? 'a' : 'b', 1);
  }
  expect(ends.top(2)).toEqual([
    { text: 'other', count: 33_333, causes: expect.arrayContaining([]) },
    { text: 'one', count: 16_667, causes: expect.arrayContaining([]) },
  ]);
  expect(ends.top(2)[1]?.causes.map(({ id }) => id)).toEqual(['a', 'b']);
});

describe('shown in full', () => {
  const row = (cause: string, severity: Finding['severity'], count: number, host = 0) => ({
    host,
    finding: { id: `${cause} ${count}`, cause, severity, count, first_ns: 0 } as Finding,
  });
  const many = Array.from({ length: 500 }, (_, i) => row('scan', 'error', 1000 + i));

  test('is one of each cause and host, then the weightiest', () => {
    const rare = [
      row('rare', 'info', 1),
      row('scan', 'error', 5, 1),
      row('unexplained', 'info', 9),
    ];
    const { chosen, rest } = choose([...many, ...rare], 10);
    expect(chosen).toHaveLength(10);
    expect(rest).toHaveLength(493);
    expect(chosen).toEqual(expect.arrayContaining(rare));
    expect(chosen[0]).toBe(many[499]);
    expect(chosen.at(-1)?.finding.cause).toBe('unexplained');
  });

  test('is never more than asked for', () => {
    const causes = Array.from({ length: 60 }, (_, i) => row(`cause-${i}`, 'warning', i));
    expect(choose(causes, 40).chosen).toHaveLength(40);
  });
});
