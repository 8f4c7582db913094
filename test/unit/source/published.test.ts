// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import type { Target } from '../../../src/source/filter.ts';
import { withPublished } from '../../../src/source/published.ts';

const port = (number: number): Target => ({ net: null, port: number });
const host = (address: string, number: number | null = null): Target => ({
  ...{ net: { address, bits: address.includes(':') ? 128 : 32 }, port: number },
});
const HOST = {
  own: ['127.0.0.1', '10.0.0.1', '2001:db8::1'],
  isOfAnother: (address: string) => ['172.17.0.2', '2001:db8:1::2', '10.0.0.1'].includes(address),
  /** As rules do: 8080 of any own address; 8081 to a port of this host; 8082 to a host elsewhere. */
  sentTo: (address: string, port: number) => [
    ...(port === 8080 ? [address.includes(':') ? '[2001:db8:1::2]:80' : '172.17.0.2:80'] : []),
    ...(port === 8081 ? ['10.0.0.1:15001', '0.0.0.0:15006'] : []),
    ...(port === 8082 ? ['192.0.2.9:80'] : []),
    `10.0.0.1:${port}`,
  ],
};
const published = (...groups: Target[][]) =>
  withPublished({ groups, netns: null }, () => HOST).groups;

test('what a port is published for is asked for too, in the same group', () => {
  expect(published([port(8080), port(22)], [host('192.0.2.5')])).toEqual([
    [port(8080), port(22), host('172.17.0.2', 80), host('2001:db8:1::2', 80)],
    [host('192.0.2.5')],
  ]);
  expect(published([host('10.0.0.1', 8080)])).toEqual([
    [host('10.0.0.1', 8080), host('172.17.0.2', 80)],
  ]);
});

test('ports of this host and other hosts are not', () => {
  expect(published([port(8081)], [port(8082)])).toEqual([[port(8081)], [port(8082)]]);
});

test('nothing is asked of the host where one namespace or no port is wanted', () => {
  const never = () => {
    throw new Error('asked');
  };
  for (const filter of [
    { groups: [[port(8080)]], netns: 7 },
    { groups: [[host('10.0.0.1')]], netns: null },
    { groups: [[{ net: { address: '10.0.0.0', bits: 8 }, port: 8080 }]], netns: null },
    { groups: [], netns: null },
  ])
    expect(withPublished(filter, never)).toBe(filter);
});

test('other namespaces are not asked where no rule leads out of this one', () => {
  const isOfAnother = () => {
    throw new Error('asked');
  };
  const filter = { groups: [[port(22)]], netns: null };
  expect(withPublished(filter, () => ({ ...HOST, isOfAnother })).groups).toEqual(filter.groups);
});

test('where there is no room for all of them there is none', () => {
  const many = Array.from({ length: 14 }, (_, i) => port(100 + i));
  expect(published([port(8080), ...many])).toEqual([[port(8080), ...many]]);
});
