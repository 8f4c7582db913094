// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { TCP_FLAG } from '../../src/causes/define.ts';
import { awaitAll, connect, hangUp, listen } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { Stranger, SYN_ACK } from '../../src/lab/stranger.ts';
import type { Family } from '../../src/lab/wiring.ts';
import { must, POLLIN } from '../../src/native/sockets.ts';
import { Running } from './tcpwhy.ts';

const TIMES = 7;
const FIN_ACK = TCP_FLAG.fin | TCP_FLAG.ack;

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

it.each([4, 6] as const)(
  'says nothing of connections that begin and end well, IPv%d',
  async (family) => {
    await using tcpwhy = await Running.start(['trace', '--all']);
    using lab = Lab.open();
    hangUp(connect(lab, { times: TIMES, family }, 8080));
    closeServerFirst(lab, family);
    const output = await tcpwhy.stop();
    const here = output.findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
    expect(here.filter(({ cause }) => cause !== 'benign')).toEqual([]);
    expect(output.summary.lost).toBe(0);
  },
);
