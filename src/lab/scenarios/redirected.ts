// SPDX-License-Identifier: Apache-2.0

import { must } from '../../native/sockets.ts';
import type { Family } from '../../tcp/address.ts';
import {
  accept,
  anyOf,
  awaitQueued,
  awaitReset,
  awaitTimeout,
  dial,
  growth,
  hangUp,
  localOf,
} from '../connections.ts';
import type { Lab } from '../lab.ts';
import { bracketed, redirect, table } from '../nat.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';
import { giveUpSoon } from './silence.ts';

const PORT = 443;
const OTHER_PORT = 15_001;

/** A queue takes one more than its limit. */
const BACKLOG = 3;
const loopback = (family: Family) => (family === 4 ? '127.0.0.1' : '::1');

/** A proxy that does not accept, and connects of its own host that are sent to it. */
function refusedByProxy(lab: Lab, { times, family }: Options): Made {
  const proxy = { address: loopback(family), port: OTHER_PORT };
  const listener = lab.socket(lab.client, { family });
  must(listener.bind(anyOf(family), OTHER_PORT), 'bind');
  must(listener.listen(BACKLOG), 'listen');
  const waiting = dial(lab, lab.client, proxy, BACKLOG + 1);
  awaitQueued(listener, waiting.length);
  const refused = growth(lab.client, 'TcpExt', 'ListenOverflows');
  const sockets = dial(lab, lab.client, { address: HOSTS[family].server, port: PORT }, times);
  const clients = sockets.map(localOf);
  until('the SYNs to be refused', () => refused() >= times);
  for (const socket of sockets) socket.close();
  hangUp(accept(listener, waiting));
  listener.close();
  return { server: proxy, clients, netns: lab.client.inode };
}

const redirected: ScenarioEntry[] = [
  {
    id: 'accept-queue-full/redirected',
    beside: ['connect-given-up'],
    title: 'connects that the client’s own NAT redirects to a proxy whose accept queue is full',
    commands: ['nft'],
    says: ({ family }) => ({ dialled: bracketed(family, HOSTS[family].server, PORT) }),
    prepare: (lab, { family }) =>
      redirect(lab.client, family, `tcp dport ${PORT}`, `redirect to :${OTHER_PORT}`),
    run: refusedByProxy,
  },
  {
    id: 'no-listener/redirected',
    title: 'connects that the client’s own NAT redirects to a port where nothing listens',
    commands: ['nft'],
    says: ({ family }) => ({ dialled: bracketed(family, HOSTS[family].server, PORT) }),
    prepare: (lab, { family }) =>
      redirect(lab.client, family, `tcp dport ${PORT}`, `redirect to :${OTHER_PORT}`),
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].server, port: PORT };
      const sockets = dial(lab, lab.client, server, times);
      const clients = sockets.map(localOf);
      awaitReset(sockets, 'ECONNREFUSED');
      return { server, clients, netns: lab.client.inode };
    },
  },
  {
    id: 'connect-refused/redirected',
    beside: ['no-listener'],
    title: 'connects that the client’s own NAT sends to a host that refuses them',
    tier: 'tracepoints',
    commands: ['nft'],
    says: ({ family }) => ({
      redirected_to: bracketed(family, HOSTS[family].server, OTHER_PORT),
    }),
    prepare(lab, { family }) {
      const { vip, server } = HOSTS[family];
      const ip = table(family);
      const to = bracketed(family, server, OTHER_PORT);
      redirect(lab.client, family, `${ip} daddr ${vip} tcp dport ${PORT}`, `dnat to ${to}`);
    },
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].vip, port: PORT };
      const sockets = dial(lab, lab.client, server, times);
      const clients = sockets.map(localOf);
      awaitReset(sockets, 'ECONNREFUSED');
      return { server, clients, netns: lab.client.inode };
    },
  },
  {
    id: 'connect-timeout/redirected',
    title: 'connects that the host’s own NAT sends to one that never answers',
    tier: 'tracepoints',
    commands: ['nft'],
    says: ({ family }) => ({
      redirected_to: bracketed(family, HOSTS[family].nowhere, OTHER_PORT),
    }),
    prepare(lab, { family }) {
      const { client, nowhere } = HOSTS[family];
      const ip = table(family);
      const to = bracketed(family, nowhere, OTHER_PORT);
      giveUpSoon(lab.server);
      redirect(lab.server, family, `${ip} daddr ${client} tcp dport ${PORT}`, `dnat to ${to}`);
    },
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].client, port: PORT };
      const sockets = dial(lab, lab.server, server, times);
      const clients = sockets.map(localOf);
      awaitTimeout(sockets);
      return { server, clients, netns: lab.server.inode };
    },
  },
];

export default [...redirected] satisfies ScenarioEntry[];
