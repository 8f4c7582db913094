// SPDX-License-Identifier: Apache-2.0

import { accept, awaitQueued, dial, growth, hangUp, knock, listen } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { PSH_ACK, Stranger, SYN_ACK } from '../stranger.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 8080;
const BACKLOG = 3;

/** A queue takes one more than its limit. */
function refuseSyns(lab: Lab, { times, family }: Options): Made {
  const server = { address: HOSTS[family].server, port: PORT };
  const refused = growth(lab.server, 'TcpExt', 'ListenOverflows');
  using listener = listen(lab, family, PORT, BACKLOG);
  const waiting = dial(lab, lab.client, server, BACKLOG + 1);
  awaitQueued(listener, waiting.length);
  const clients = knock(lab, server, times);
  until('the SYNs to be refused', () => refused() >= times);
  hangUp(accept(listener, waiting));
  return { server, clients, netns: lab.server.inode };
}

/** Handshakes that began while there was room, and end when there is none. */
function refuseThirdAcks(lab: Lab, { times, family }: Options): Made {
  const server = { address: HOSTS[family].server, port: PORT };
  using stranger = new Stranger(lab, family);
  const refused = growth(lab.server, 'TcpExt', 'ListenOverflows');
  using listener = listen(lab, family, PORT, times);
  stranger.sendSyns(PORT, lab.ports(times));
  const synAcks = stranger.receive(SYN_ACK, times);
  const waiting = Array.from({ length: times + 1 }, (_, index) => {
    const client = dial(lab, lab.client, server, 1);
    awaitQueued(listener, index + 1);
    return client;
  }).flat();
  for (const synAck of synAcks) stranger.reply(synAck, PSH_ACK, { payload: Buffer.from('hello') });
  until('the third ACKs to be refused', () => refused() >= times);
  hangUp(accept(listener, waiting));
  return {
    server,
    clients: synAcks.map(({ dport: port }) => ({ address: stranger.address, port })),
    netns: lab.server.inode,
  };
}

export default [
  {
    id: 'accept-queue-full',
    title: 'a process does not accept: SYNs are refused',
    run: refuseSyns,
  },
  {
    id: 'accept-queue-full/third-ack',
    title: 'the accept queue fills during handshakes: third ACKs are refused',
    run: refuseThirdAcks,
  },
  {
    id: 'accept-queue-full/cookie',
    title: 'the same where the handshakes began with SYN cookies',
    beside: ['syn-cookies'],
    prepare: (lab) => lab.server.sysctl({ 'net.ipv4.tcp_syncookies': 2 }),
    run: refuseThirdAcks,
  },
  {
    id: 'accept-queue-full/abort',
    title: 'the same with tcp_abort_on_overflow=1: they are reset',
    prepare: (lab) => lab.server.sysctl({ 'net.ipv4.tcp_abort_on_overflow': 1 }),
    run: refuseThirdAcks,
  },
] satisfies ScenarioEntry[];
