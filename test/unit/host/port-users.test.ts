// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { portUsers } from '../../../src/host/port-users.ts';
import { addressBytes, familyOf } from '../../../src/tcp/address.ts';
import { TCP_STATE } from '../../../src/tcp/states.ts';
import type { CallFailed } from '../../../src/wire/types.gen.ts';

const SOCK_DIAG_BY_FAMILY = 20;
const PORT = 8080;

interface Answer {
  state: number;
  address: string;
  device?: number;
  v6only?: boolean;
}

/** struct inet_diag_msg, and INET_DIAG_SKV6ONLY as the kernel has it for sockets of IPv6 that listen. */
function message({ state, address, device = 0, v6only }: Answer): Buffer {
  const bytes = Buffer.alloc(16 + 72 + (v6only === undefined ? 0 : 8));
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(SOCK_DIAG_BY_FAMILY, 4);
  const body = bytes.subarray(16);
  const six = familyOf(address) === 6;
  body[0] = six ? 10 : 2;
  body[1] = state;
  body.writeUInt16BE(PORT, 4);
  body.set(six ? addressBytes(address) : addressBytes(address).subarray(12), 8);
  body.writeUInt32LE(device, 40);
  if (v6only !== undefined) {
    body.writeUInt16LE(5, 72);
    body.writeUInt16LE(11, 74);
    body[76] = Number(v6only);
  }
  return bytes;
}

function found(saddr: string, answers: Answer[], { ipv6_only = 0, bound_ifindex = 0 } = {}) {
  const sock = { flow: { saddr, sport: PORT }, ipv6_only, bound_ifindex };
  const failed = { sock } as unknown as CallFailed;
  return portUsers((requests) => {
    expect(requests.map((bytes) => [bytes[16], bytes.readUInt16BE(24)])).toEqual([
      [2, PORT],
      [10, PORT],
    ]);
    return [Buffer.concat(answers.map(message)), Buffer.alloc(0)];
  }, failed).map(({ state, address, sockets }) => [state, address, sockets]);
}

const { ESTABLISHED, TIME_WAIT, CLOSE, LISTEN } = TCP_STATE;

test('what wants the same of a port has it', () => {
  const listens = (address: string, more = {}) => [{ state: LISTEN, address, ...more }];
  expect(found('10.0.0.1', listens('0.0.0.0'))).toHaveLength(1);
  expect(found('0.0.0.0', listens('10.0.0.1'))).toHaveLength(1);
  expect(found('10.0.0.1', listens('10.0.0.2'))).toHaveLength(0);
  expect(found('10.0.0.1', listens('::', { v6only: false }))).toHaveLength(1);
  expect(found('10.0.0.1', listens('::', { v6only: true }))).toHaveLength(0);
  expect(found('::', listens('10.0.0.1'))).toHaveLength(1);
  expect(found('::', listens('10.0.0.1'), { ipv6_only: 1 })).toHaveLength(0);
  expect(found('2001:db8::1', listens('0.0.0.0'))).toHaveLength(0);
  expect(found('2001:db8::1', listens('::', { v6only: true }))).toHaveLength(1);
  expect(found('10.0.0.1', listens('10.0.0.1', { device: 3 }), { bound_ifindex: 2 })).toEqual([]);
  expect(found('10.0.0.1', listens('10.0.0.1', { device: 3 }))).toHaveLength(1);
});

test('sockets of one state and address are one, and who listens comes first', () => {
  const over = { state: TIME_WAIT, address: '10.0.0.1' };
  expect(
    found('0.0.0.0', [
      over,
      { state: ESTABLISHED, address: '10.0.0.1' },
      over,
      { state: 13, address: '10.0.0.2' },
      { state: LISTEN, address: '10.0.0.3' },
    ]),
  ).toEqual([
    [LISTEN, '10.0.0.3', 1],
    [CLOSE, '10.0.0.2', 1],
    [TIME_WAIT, '10.0.0.1', 2],
    [ESTABLISHED, '10.0.0.1', 1],
  ]);
});
