// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { listen } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { RST_ACK, Stranger, SYN_ACK } from '../../src/lab/stranger.ts';
import { must } from '../../src/native/sockets.ts';
import { TCP_FLAG } from '../../src/tcp/flags.ts';
import { Running } from './tcpwhy.ts';

const TIMES = 7;
const PORT = 8500;

it('a reset whose IP header has options is seen as it arrives', async () => {
  await using tcpwhy = await Running.start();
  using lab = Lab.open();
  using stranger = new Stranger(lab, 4);
  using listener = listen(lab, 4, PORT, TIMES);
  stranger.sendSyns(PORT, lab.ports(TIMES));
  const synAcks = stranger.receive(SYN_ACK, TIMES);
  for (const synAck of synAcks) {
    stranger.reply(synAck, TCP_FLAG.ack);
    must(listener.accept(), 'accept');
  }
  for (const synAck of synAcks) stranger.reply(synAck, RST_ACK, { window: 0, ip_options_bytes: 8 });
  await tcpwhy.until((output) => output.count('reset-by-peer') >= TIMES, 5000);
  const { findings } = await tcpwhy.stop();

  const here = findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
  expect(here.map(({ cause, count }) => [cause, count])).toEqual([['reset-by-peer', TIMES]]);
  expect(here[0]?.evidence.sent_by).toBe('a kernel without the socket');
  expect(here[0]?.process?.pid).toBe(process.pid);
});
