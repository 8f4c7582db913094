// SPDX-License-Identifier: Apache-2.0

import { must, POLLIN } from '../../native/sockets.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { meet } from '../acquaintance.ts';
import { awaitAll, awaitReset, listen } from '../connections.ts';
import type { Lab } from '../lab.ts';
import { BOTH, type Made, type Options, type Scenario } from '../scenario.ts';
import { PSH_ACK, RST_ACK, Stranger, SYN_ACK } from '../stranger.ts';
import { HOSTS } from '../wiring.ts';

export const resetByPeer: Scenario[] = [
  {
    id: 'reset-by-peer',
    cause: 'reset-by-peer',
    title: 'another host resets open connections',
    families: BOTH,
    run: (lab, options) => resetFromOutside(lab, options, 3306),
  },
  {
    id: 'reset-by-peer/high-port',
    cause: 'reset-by-peer',
    title: 'the same where the service’s port is above those of its clients',
    families: BOTH,
    run: (lab, options) => resetFromOutside(lab, options, 65_306),
  },
  {
    id: 'reset-by-peer/on-the-way',
    cause: 'reset-by-peer',
    beside: ['connection-unknown'],
    title: 'a box on the way resets the server only, and the clients go on to send',
    families: BOTH,
    says: () => ({ reset_ttl: BOX_TTL }),
    run: resetOnTheWay,
  },
];

/** The clients’ own segments come with 64. */
const BOX_TTL = 57;

function resetOnTheWay(lab: Lab, options: Options): Made {
  using met = meet(lab, options, 3307);
  const { stranger, synAcks } = met;
  for (const synAck of synAcks)
    stranger.reply(synAck, TCP_FLAG.rst, { ack: 0, window: 0, ttl: BOX_TTL });
  awaitReset(met.sockets, 'ECONNRESET');
  for (const synAck of synAcks)
    stranger.reply(synAck, PSH_ACK, { payload: Buffer.from('select 1') });
  stranger.receive(TCP_FLAG.rst, options.times);
  return met.made;
}

function resetFromOutside(lab: Lab, { times, family }: Options, port: number): Made {
  using stranger = new Stranger(lab, family);
  using listener = listen(lab, family, port, times);
  const clients = lab.ports(times);
  stranger.sendSyns(port, clients);
  const synAcks = stranger.receive(SYN_ACK, times);
  for (const synAck of synAcks) stranger.reply(synAck, TCP_FLAG.ack);
  const accepted = synAcks.map(() => {
    awaitAll([listener], POLLIN, 'a connection to accept');
    return must(listener.accept(), 'accept').socket;
  });
  for (const synAck of synAcks) stranger.reply(synAck, RST_ACK, { window: 227 });
  awaitReset(accepted, 'ECONNRESET');
  return {
    server: { address: HOSTS[family].server, port },
    clients: clients.map((from) => ({ address: stranger.address, port: from })),
    netns: lab.server.inode,
    where: endpoint(HOSTS[family].server, port),
  };
}
