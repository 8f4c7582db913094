// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { WatchedBytes } from '../../../src/report/watched-bytes.ts';
import { addressBytes } from '../../../src/tcp/address.ts';

const [SERVICE, CLIENT, OTHER] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];
const record = (...addresses: string[]) =>
  Buffer.concat(addresses.flatMap((one) => [Buffer.from([0x0a, 16]), addressBytes(one)]));

test.each([
  ['from client to service', [CLIENT, SERVICE], true],
  ['from service to client', [SERVICE, CLIENT], true],
  ['among others', [OTHER, CLIENT, OTHER, SERVICE], true],
  ['of the service and another', [SERVICE, OTHER, SERVICE], false],
  ['of others', [OTHER, OTHER], false],
  ['of both ends at 2001:db8::1', ['2001:db8::1'], true],
  ['of addresses of IPv6 of another connection', ['2001:db8::2', '2001:db8::1:2'], false],
])('a record %s', (_, addresses, may) => {
  const watched = new WatchedBytes([
    `${SERVICE}:80 ${CLIENT}:40000`,
    '[2001:db8::1]:443 [2001:db8::1]:50000',
    '[2001:db8::2]:443 [2001:db8::3]:50000',
  ]);
  expect(watched.mayBeIn(record(...addresses))).toBe(may);
});

test('of an address that is none, anything may be', () => {
  expect(new WatchedBytes([':80 10.0.0.1:40000']).mayBeIn(record(OTHER))).toBe(true);
});

test('of no connections nothing is', () => {
  expect(new WatchedBytes([]).mayBeIn(record(SERVICE, CLIENT))).toBe(false);
});
