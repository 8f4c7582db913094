// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { sums } from '../../src/lab/conformance.ts';
import {
  awaitAll,
  awaitReset,
  connect,
  dial,
  hangUp,
  listen,
  say,
} from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { FIN_ACK, Stranger, SYN_ACK } from '../../src/lab/stranger.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { must, POLLIN } from '../../src/native/sockets.ts';
import type { Family } from '../../src/tcp/address.ts';
import { TCP_FLAG } from '../../src/tcp/flags.ts';
import { Running } from './tcpwhy.ts';

const TIMES = 7;

/** The server closes first, and the other host only later: the server's end waits in TIME_WAIT. */
function closeServerFirst(lab: Lab, family: Family): void {
  using stranger = new Stranger(lab, family);
  using listener = listen(lab, family, 80, TIMES);
  stranger.sendSyns(80, lab.ports(TIMES));
  for (const synAck of stranger.receive(SYN_ACK, TIMES)) stranger.reply(synAck, TCP_FLAG.ack);
  for (let index = 0; index < TIMES; index++) {
    awaitAll([listener], POLLIN, 'a connection to accept');
    must(listener.accept(), 'accept').socket.close();
  }
  const fins = stranger.receive(FIN_ACK, TIMES);
  for (const fin of fins) stranger.reply(fin, TCP_FLAG.ack);
  for (const fin of fins) stranger.reply(fin, FIN_ACK);
  stranger.receive(TCP_FLAG.ack, TIMES);
}

/** The client has said all, and acknowledges what the server answers then. */
function answerHalfClosed(lab: Lab, family: Family): void {
  const pairs = connect(lab, { times: TIMES, family }, 8081);
  for (const { client, server } of pairs) {
    must(client.shutdown('write'), 'shutdown');
    awaitAll([server], POLLIN, 'the end of what the client says');
    say([server], 'OK');
    awaitAll([client], POLLIN, 'the answer');
    must(client.recv(), 'recv');
    server.close();
    client.close();
  }
}

/** The other host closes first, and answers the server's end twice. */
function acknowledgeTwice(lab: Lab, family: Family): void {
  using stranger = new Stranger(lab, family);
  using listener = listen(lab, family, 80, TIMES);
  stranger.sendSyns(80, lab.ports(TIMES));
  const synAcks = stranger.receive(SYN_ACK, TIMES);
  for (const synAck of synAcks) stranger.reply(synAck, FIN_ACK);
  for (let index = 0; index < TIMES; index++) {
    awaitAll([listener], POLLIN, 'a connection to accept');
    const { socket } = must(listener.accept(), 'accept');
    awaitAll([socket], POLLIN, 'the end of a connection');
    socket.close();
  }
  for (const fin of stranger.receive(FIN_ACK, TIMES)) {
    for (const _ of ['first', 'again']) stranger.reply(fin, TCP_FLAG.ack);
  }
  stranger.receive(TCP_FLAG.rst, TIMES);
}

it.each([4, 6] as const)(
  'says nothing of an acknowledgement that comes after the end, IPv%d',
  async (family) => {
    await using tcpwhy = await Running.start(['trace', '--all']);
    using lab = Lab.open();
    acknowledgeTwice(lab, family);
    const output = await tcpwhy.stop();
    const here = output.findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
    expect(here.filter(({ cause }) => cause !== 'benign')).toEqual([]);
    const late = here.filter(({ evidence }) => evidence.what === 'reset sent');
    expect(late.reduce((sum, { count }) => sum + count, 0)).toBe(TIMES);
    expect(late[0]?.summary).toMatch(/both ends had closed the connection$/);
  },
);

it.each([4, 6] as const)(
  'says nothing of connections that begin and end well, IPv%d',
  async (family) => {
    await using tcpwhy = await Running.start(['trace', '--all']);
    using lab = Lab.open();
    hangUp(connect(lab, { times: TIMES, family }, 8080));
    answerHalfClosed(lab, family);
    closeServerFirst(lab, family);
    // Shows that this lab is watched.
    const { server } = HOSTS[family];
    awaitReset(dial(lab, lab.client, { address: server, port: 8089 }, 1), 'ECONNREFUSED');
    const output = await tcpwhy.stop();
    const here = output.findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
    expect(sums(here.filter(({ cause }) => cause !== 'benign'))).toEqual({
      'no-listener': 1,
    });
    expect(output.summary.lost).toBe(0);
  },
);
