// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { EVERYTHING, filterRodata, filterText, matcher } from '../../../src/source/filter.ts';

const net = (address: string, bits: number) => ({ address, bits });
const port = (port: number) => ({ net: null, port });

test('no filter is all zero', () => {
  const all = Object.values(filterRodata(EVERYTHING));
  expect(Buffer.concat(all).every((byte) => byte === 0)).toBe(true);
});

test('a filter fills its variables', () => {
  const { filter_targets, filter_count, filter_groups, filter_netns } = filterRodata({
    groups: [[port(3306)], [{ net: net('10.64.0.9', 12), port: null }]],
    netns: 4026531840,
  });
  const [first, second, third] = [0, 36, 72].map((at) =>
    Buffer.from(filter_targets ?? [])
      .subarray(at, at + 36)
      .toString('hex'),
  );
  const zeros = '00'.repeat(16);
  expect(first).toBe(`${zeros}${zeros}ea0c0100`);
  const prefix = '00'.repeat(10);
  expect(second).toBe(`${prefix}ffff0a400000${'ff'.repeat(13)}f0000000000200`);
  expect(third).toBe('00'.repeat(36));
  expect(Buffer.from(filter_count ?? []).readUInt32LE()).toBe(2);
  expect(Buffer.from(filter_groups ?? []).readUInt32LE()).toBe(0b11);
  expect(Buffer.from(filter_netns ?? []).readUInt32LE()).toBe(4026531840);
});

test('as text', () => {
  expect(
    filterText({
      groups: [
        [port(80), { net: net('10.0.0.5', 32), port: 443 }],
        [{ net: net('2001:db8::', 32), port: null }],
      ],
      netns: 1,
    }),
  ).toEqual(['port 80 or host 10.0.0.5 port 443', 'net 2001:db8::/32', 'netns 1']);
});

describe('what matches', () => {
  const flow = { saddr: '10.1.2.3', sport: 40_000, daddr: '192.0.2.7', dport: 443, service: 0 };
  const flow6 = {
    saddr: '2001:db8::1',
    sport: 40_000,
    daddr: '2001:db8:1::7',
    dport: 443,
    service: 0,
  };
  const host = (address: string, bits: number, port: number | null = null) => ({
    net: net(address, bits),
    port,
  });

  test.each([
    [true, [], flow],
    [true, [[port(443)]], flow],
    [true, [[port(40_000)]], flow],
    [false, [[port(80)]], flow],
    [true, [[port(80), port(443)]], flow],
    [false, [[port(80)], [port(443)]], flow],
    [true, [[host('10.0.0.0', 8)]], flow],
    [true, [[host('10.1.2.2', 31)]], flow],
    [false, [[host('10.1.2.4', 30)]], flow],
    [true, [[host('0.0.0.0', 0)]], flow],
    [false, [[host('0.0.0.0', 0)]], flow6],
    [true, [[host('192.0.2.7', 32, 40_000)]], flow],
    [false, [[host('10.0.0.0', 8, 80)]], flow],
    [true, [[host('10.0.0.0', 8)], [host('192.0.2.0', 24)], [port(443)]], flow],
    [true, [[host('2001:db8::', 47)]], flow6],
    [false, [[host('2001:db8:2::', 47)]], flow6],
    [true, [[host('2001:db8:1::', 47)]], flow6],
    [false, [[host('2001:db8::', 32)]], flow],
  ])('%j: %j', (expected, groups, of) => {
    expect(matcher({ groups, netns: null })(1, of)).toBe(expected);
  });

  test('only in that namespace', () => {
    const wanted = matcher({ groups: [], netns: 7 });
    expect([wanted(7, flow), wanted(8, flow)]).toEqual([true, false]);
  });
});
