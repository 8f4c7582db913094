// SPDX-License-Identifier: Apache-2.0

import { must, POLLIN, POLLRDHUP, type Socket } from '../../native/sockets.ts';
import { broken, clientsBelow, HIGH_PORT } from '../broken.ts';
import {
  awaitAll,
  awaitReset,
  connect,
  lingerZero,
  localOf,
  type Pair,
  say,
} from '../connections.ts';
import type { Lab } from '../lab.ts';
import { hits, rule } from '../rules.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

/** One that its clients could have too, and hardly ever a lower one than they. */
const HIGHER_PORT = 65_001;
const ANY_PORTS = { 'net.ipv4.ip_local_port_range': '1024 65535' };
const ANSWERING = 8444;

/** Clients that are answered close with SO_LINGER 0, once `meanwhile` is done. */
function answered(lab: Lab, options: Options, meanwhile: (servers: Socket[]) => void): Made {
  const server = { address: HOSTS[options.family].server, port: ANSWERING };
  const pairs = connect(lab, options, server.port);
  const clients = pairs.map(({ client }) => client);
  const addresses = clients.map(localOf);
  const servers = pairs.map((pair) => pair.server);
  for (const [from, to] of [
    [clients, servers],
    [servers, clients],
  ] as const) {
    say(from, 'GET / HTTP/1.1');
    awaitAll(to, POLLIN, 'what the other end says');
    for (const socket of to) must(socket.recv(), 'recv');
  }
  meanwhile(servers);
  for (const client of clients) {
    lingerZero(client);
    client.close();
  }
  awaitReset(servers, 'ECONNRESET');
  return { server, clients: addresses, netns: lab.client.inode };
}

export default [
  {
    id: 'linger-zero-close',
    title: 'a server closes with SO_LINGER 0',
    run: (lab, options) => cutOff(lab, options, 8443),
  },
  {
    id: 'linger-zero-close/high-port',
    title: 'the same on a port above those of its clients',
    prepare: clientsBelow,
    run: (lab, options) => cutOff(lab, options, HIGH_PORT),
  },
  {
    id: 'linger-zero-close/any-port',
    title: 'the same where clients may have any port',
    prepare(lab) {
      lab.client.sysctl(ANY_PORTS);
      lab.server.sysctl(ANY_PORTS);
    },
    run: (lab, options) => cutOff(lab, options, HIGHER_PORT),
  },
  {
    id: 'linger-zero-close/dialled',
    title: 'clients close with SO_LINGER 0 what they dialled at such a port, unused',
    info: true,
    says: () => ({ unused: true }),
    prepare: (lab) => lab.client.sysctl(ANY_PORTS),
    run: (lab, options) => cutOff(lab, options, HIGHER_PORT, 'client'),
  },
  {
    id: 'linger-zero-close/had-closed',
    title: 'clients close with SO_LINGER 0 what their server has closed',
    info: true,
    says: () => ({ peer_had_closed: true }),
    run(lab, options) {
      const server = { address: HOSTS[options.family].server, port: 8443 };
      const pairs = connect(lab, options, server.port);
      const clients = pairs.map(({ client }) => client);
      const addresses = clients.map(localOf);
      for (const pair of pairs) pair.server.close();
      awaitAll(clients, POLLRDHUP, 'the end of the stream');
      for (const client of clients) {
        lingerZero(client);
        client.close();
      }
      return { server, clients: addresses, netns: lab.client.inode };
    },
  },
  {
    id: 'linger-zero-close/answered',
    title: 'clients close with SO_LINGER 0 once they are answered, as health checks do',
    info: true,
    says: () => ({ answered: true }),
    run: (lab, options) => answered(lab, options, () => {}),
  },
  {
    id: 'linger-zero-close/download',
    beside: ['netfilter-drop'],
    title: 'the same, and their server has more to send, which a rule keeps from them meanwhile',
    commands: ['nft'],
    says: () => ({ answered: true }),
    run(lab, options) {
      const made = answered(lab, options, (servers) => {
        rule(lab, ANSWERING, 'drop', 'output');
        say(servers, 'the rest');
        until('the rule to drop it', () => hits(lab) >= options.times);
      });
      lab.server.exec('nft', ['delete', 'table', 'inet', 'lab']);
      return made;
    },
  },
] satisfies ScenarioEntry[];

function cutOff(lab: Lab, options: Options, port: number, by: 'server' | 'client' = 'server') {
  const fail = (pairs: Pair[]) => {
    for (const pair of pairs) {
      lingerZero(pair[by]);
      pair[by].close();
    }
  };
  return broken(lab, options, port, fail, { by });
}
