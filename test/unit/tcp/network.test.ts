// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { addressBytes } from '../../../src/tcp/address.ts';
import { parsePort, splitEndpoint } from '../../../src/tcp/endpoint.ts';
import { holdsIPv4, isWithin, parseNet, prefixOf } from '../../../src/tcp/network.ts';

test.each([
  ['10.0.0.0/8', '10.255.0.1', true],
  ['10.0.0.0/8', '11.0.0.1', false],
  ['10.1.2.2/31', '10.1.2.3', true],
  ['10.0.0.5', '10.0.0.5', true],
  ['10.0.0.5', '10.0.0.4', false],
  ['0.0.0.0/0', '192.0.2.7', true],
  ['0.0.0.0/0', '2001:db8::1', false],
  ['2001:db8::/32', '2001:db8:ffff::1', true],
  ['2001:db8::/33', '2001:db8:ffff::1', false],
  ['::ffff:10.0.0.0/104', '10.1.2.3', true],
])('in %s is %s: %j', (text, address, expected) => {
  const net = parseNet(text);
  expect(net && isWithin(addressBytes(address), prefixOf(net))).toBe(expected);
});

test.each(['', 'web', '10.0.0', '10.0.0.0/', '10.0.0.0/8/8', '10.0.0.0/-1', 'fe80::1%lo'])(
  '%j is no network',
  (text) => {
    expect(parseNet(text)).toBe(null);
  },
);

test.each(['10.0.0.0/33', '2001:db8::/129'])('%s has too long a prefix', (text) => {
  expect(() => parseNet(text)).toThrow(RangeError);
});

test.each([
  ['::/0', true],
  ['::/80', true],
  ['::ffff:0.0.0.0/96', false],
  ['2000::/3', false],
])('%s holds every IPv4 address: %j', (text, expected) => {
  expect(holdsIPv4(parseNet(text) ?? { address: '::', bits: 128 })).toBe(expected);
});

test.each([
  ['10.0.0.5:3306', '10.0.0.5', '3306'],
  ['[2001:db8::1]:443', '2001:db8::1', '443'],
  ['[2001:db8::1]', '2001:db8::1', null],
])('%s has two parts', (text, host, port) => {
  expect(splitEndpoint(text)).toEqual({ host, port });
});

test.each(['2001:db8::1', '10.0.0.5', '10.0.0.5:', '[10.0.0.5', ':3306'])('%j has not', (text) => {
  expect(splitEndpoint(text)).toBe(null);
});

test.each([
  ['1', 1],
  ['65535', 65535],
  ['0', null],
  ['65536', null],
  ['80x', null],
  ['', null],
  ['1e3', null],
])('the port %j', (text, port) => {
  expect(parsePort(text)).toBe(port);
});
