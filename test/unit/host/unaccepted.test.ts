// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { attribute } from '../../../src/host/netlink.ts';
import { holdersOf, queuesIn, unacceptedAt } from '../../../src/host/unaccepted.ts';

/** struct inet_diag_msg, with the header of netlink. */
function answer(one: {
  state: number;
  sport: number;
  dport?: number;
  rqueue: number;
  wqueue?: number;
  inode: number;
}): Buffer {
  const message = Buffer.alloc(16 + 72);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(20, 4);
  const body = message.subarray(16);
  body[0] = 2;
  body[1] = one.state;
  body.writeUInt16BE(one.sport, 4);
  body.writeUInt16BE(one.dport ?? 0, 6);
  body.set([10, 1, 0, 1], 8);
  body.set([10, 1, 0, 2], 24);
  body.set([1, 2, 3, 4, 5, 6, 7, 8], 44);
  body.writeUInt32LE(one.rqueue, 56);
  body.writeUInt32LE(one.wqueue ?? 0, 60);
  body.writeUInt32LE(one.inode, 68);
  return message;
}

/** INET_DIAG_ULP_INFO, INET_ULP_INFO_NAME. */
const [ULP_INFO, ULP_NAME] = [19, 1];
const [ESTABLISHED, CLOSE_WAIT, LISTEN] = [1, 8, 10];

test('listeners of one port that somebody waits for are one queue, full where one of them is', () => {
  const listener = (rqueue: number, inode: number) =>
    answer({ state: LISTEN, sport: 80, rqueue, wqueue: 2, inode });
  const ask = () => [Buffer.concat([listener(1, 7), listener(0, 8), listener(2, 9)])];
  expect(queuesIn(ask)).toEqual([{ port: 80, inodes: [7, 9], usage: 3, limit: 4, is_full: false }]);
  expect(queuesIn(() => [listener(3, 7)])).toMatchObject([{ is_full: true }]);
});

test('only what no process has waits, and a FIN is no byte', () => {
  const waits = { sport: 80, dport: 40_000, inode: 0 };
  const ask = () => [
    answer({ ...waits, state: ESTABLISHED, rqueue: 18 }),
    answer({ ...waits, state: CLOSE_WAIT, rqueue: 19 }),
    answer({ ...waits, state: ESTABLISHED, rqueue: 18, inode: 5 }),
  ];
  const flow = { saddr: '10.1.0.1', daddr: '10.1.0.2', sport: 80, dport: 40_000, service: 1 };
  const one = { id: '0102030405060708', flow, unread_bytes: 18 };
  expect(unacceptedAt(ask, 80)).toEqual([
    { ...one, given_up: false, mptcp: false },
    { ...one, given_up: true, mptcp: false },
  ]);
});

test('of MPTCP what the client has sent is elsewhere', () => {
  const socket = answer({ state: ESTABLISHED, sport: 80, rqueue: 0, inode: 0 });
  const name = attribute(ULP_NAME, Buffer.from('mptcp\0'));
  const ask = (ulp: Buffer) => () => {
    const message = Buffer.concat([socket, attribute(ULP_INFO, ulp)]);
    message.writeUInt32LE(message.length, 0);
    return [message];
  };
  expect(unacceptedAt(ask(name), 80)).toMatchObject([{ mptcp: true }]);
  const tls = attribute(ULP_NAME, Buffer.from('tls\0'));
  expect(unacceptedAt(ask(tls), 80)).toMatchObject([{ mptcp: false }]);
});

test('who has a socket open', () => {
  const proc = mkdtempSync(join(tmpdir(), 'tcpwhy-proc-'));
  try {
    for (const [pid, inode] of [
      [7, 70],
      [8, 80],
    ]) {
      mkdirSync(join(proc, `${pid}/fd`), { recursive: true });
      symlinkSync(`socket:[${inode}]`, join(proc, `${pid}/fd/3`));
      writeFileSync(join(proc, `${pid}/comm`), `p${pid}\n`);
    }
    expect(holdersOf([80], 8, proc)).toEqual([{ pid: 8, comm: 'p8' }]);
    expect(holdersOf([70, 80], 1, proc)).toHaveLength(1);
  } finally {
    rmSync(proc, { recursive: true });
  }
});
