// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../../causes/define.ts';
import { must, POLLIN } from '../../native/sockets.ts';
import { awaitAll, awaitReset, listen } from '../connections.ts';
import { BOTH, type Scenario } from '../scenario.ts';
import { RST_ACK, Stranger, SYN_ACK } from '../stranger.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 3306;

export const resetByPeer: Scenario = {
  id: 'reset-by-peer',
  cause: 'reset-by-peer',
  title: 'another host resets open connections',
  families: BOTH,
  run(lab, { times, family }) {
    using stranger = new Stranger(lab, family);
    using listener = listen(lab, family, PORT, times);
    const clients = lab.ports(times);
    stranger.sendSyns(PORT, clients);
    const synAcks = stranger.receive(SYN_ACK, times);
    for (const synAck of synAcks) stranger.reply(synAck, TCP_FLAG.ack);
    const accepted = synAcks.map(() => {
      awaitAll([listener], POLLIN, 'a connection to accept');
      return must(listener.accept(), 'accept').socket;
    });
    for (const synAck of synAcks) stranger.reply(synAck, RST_ACK, { window: 227 });
    awaitReset(accepted, 'ECONNRESET');
    return {
      server: { address: HOSTS[family].server, port: PORT },
      clients: clients.map((port) => ({ address: stranger.address, port })),
      netns: lab.server.inode,
    };
  },
};
