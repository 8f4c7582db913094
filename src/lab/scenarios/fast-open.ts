// SPDX-License-Identifier: Apache-2.0

import { must } from '../../native/sockets.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { localOf } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { FIN_ACK, PSH_ACK, Stranger, SYN_ACK } from '../stranger.ts';

const PORT = 8443;
const IPPROTO_TCP = 6;
const TCP_FASTOPEN_CONNECT = 30;
/** net.ipv4.tcp_fastopen: clients use it, and need no cookie. */
const FASTOPEN = { client: 1, no_cookie: 4 } as const;
const REQUEST = Buffer.from('GET / HTTP/1.1\r\n\r\n');

/** Connects with data in the SYN, to a host that answers only SYNs without. */
function dialFast(lab: Lab, { times, family }: Options): Made {
  using stranger = new Stranger(lab, family);
  const server = { address: stranger.address, port: PORT };
  const sockets = Array.from({ length: times }, () => lab.socket(lab.server, { family }));
  for (const socket of sockets) {
    must(socket.setsockopt(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), 'setsockopt');
    must(socket.connect(server.address, server.port), 'connect');
    const { error } = socket.send(REQUEST);
    if (error !== null && error !== 'EINPROGRESS') throw new Error(`send failed: ${error}`);
  }
  const clients = sockets.map(localOf);
  stranger.receive(TCP_FLAG.syn, times);
  for (const syn of stranger.receive(TCP_FLAG.syn, times)) stranger.reply(syn, SYN_ACK, { seq: 1 });
  for (const request of stranger.receive(PSH_ACK, times)) stranger.reply(request, FIN_ACK);
  for (const socket of sockets) socket.close();
  for (const fin of stranger.receive(FIN_ACK, times)) stranger.reply(fin, TCP_FLAG.ack);
  return { server, clients, netns: lab.server.inode };
}

export default [
  {
    id: 'fastopen-unanswered',
    title: 'SYNs with data are not answered, those that are sent again without are',
    says: () => ({ syns_sent: 2 }),
    prepare: (lab) =>
      lab.server.sysctl({ 'net.ipv4.tcp_fastopen': FASTOPEN.client + FASTOPEN.no_cookie }),
    run: dialFast,
  },
] satisfies ScenarioEntry[];
