// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { addressBytes, filterRodata, filterText } from '../../../src/source/filter.ts';
import { addressText } from '../../../src/wire/text.ts';

test.each([
  '10.112.61.163',
  '0.0.0.0',
  '255.255.255.255',
  '::',
  '::1',
  '2001:db8::1',
  'fe80::1:0:0:1',
  '1:2:3:4:5:6:7:8',
  '2001:db8:0:1::',
  '0:0:0:1::',
])('%s and back', (text) => {
  expect(addressText(addressBytes(text))).toBe(text);
});

test('an IPv4 address in IPv6 clothes is that address', () => {
  expect(addressBytes('::ffff:10.0.0.5')).toEqual(addressBytes('10.0.0.5'));
});

test('no filter is all zero', () => {
  const all = Object.values(filterRodata({ port: null, host: null, netns: null }));
  expect(Buffer.concat(all).every((byte) => byte === 0)).toBe(true);
});

test('a filter fills its variables', () => {
  const { filter_port, filter_has_addr, filter_netns } = filterRodata({
    port: 3306,
    host: '::',
    netns: 4026531840,
  });
  expect(filter_port).toEqual(Buffer.from([0xea, 0x0c]));
  expect(filter_has_addr).toEqual(Buffer.from([1]));
  expect(Buffer.from(filter_netns ?? []).readUInt32LE()).toBe(4026531840);
});

test('as text', () => {
  expect(filterText({ port: 80, host: '10.0.0.5', netns: null })).toEqual([
    'port 80',
    'host 10.0.0.5',
  ]);
});
