// SPDX-License-Identifier: Apache-2.0

import { growth, listen } from '../connections.ts';
import type { Lab } from '../lab.ts';
import { BOTH, type Made, type Options, type Scenario } from '../scenario.ts';
import { Stranger, SYN_ACK } from '../stranger.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 443;
const BACKLOG = 3;

function flood(lab: Lab, { times, family }: Options, counter: string): Made {
  using stranger = new Stranger(lab, family);
  const moved = growth(lab.server, 'TcpExt', counter);
  using _listener = listen(lab, family, PORT, BACKLOG);
  stranger.sendSyns(PORT, lab.ports(BACKLOG + 1));
  stranger.receive(SYN_ACK, BACKLOG + 1);
  const clients = lab.ports(times);
  stranger.sendSyns(PORT, clients);
  until(`${counter} to move`, () => moved() >= times);
  return {
    server: { address: HOSTS[family].server, port: PORT },
    clients: clients.map((port) => ({ address: stranger.address, port })),
    netns: lab.server.inode,
  };
}

export const synQueueFull: Scenario = {
  id: 'syn-queue-full',
  cause: 'syn-queue-full',
  title: 'half-open connections fill the SYN queue, and SYN cookies are off',
  families: BOTH,
  prepare(lab) {
    // So large that its last quarter, kept for known peers, is far away.
    lab.server.sysctl({ 'net.ipv4.tcp_syncookies': 0, 'net.ipv4.tcp_max_syn_backlog': 4096 });
  },
  run: (lab, options) => flood(lab, options, 'TCPReqQFullDrop'),
};

export const synCookies: Scenario = {
  id: 'syn-cookies',
  cause: 'syn-cookies',
  title: 'half-open connections fill the SYN queue: cookies are sent',
  families: BOTH,
  prepare: (lab) => lab.server.sysctl({ 'net.ipv4.tcp_syncookies': 1 }),
  run: (lab, options) => flood(lab, options, 'SyncookiesSent'),
};
