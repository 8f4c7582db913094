// SPDX-License-Identifier: Apache-2.0

import { must, POLLERR, POLLIN, POLLRDHUP, type Socket } from '../../native/sockets.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import {
  awaitAll,
  awaitQueued,
  awaitReset,
  connect,
  dial,
  growth,
  IPPROTO_MPTCP,
  lingerZero,
  listen,
  localOf,
  neverLinger,
  type Pair,
  say,
} from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Netns } from '../netns.ts';
import { hits, rule } from '../rules.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';
import { handTo } from './listeners.ts';

/** Opens connections, lets `fail` break each at one end, and waits for the other to learn of the reset. */
function broken(
  lab: Lab,
  options: Options,
  port: number,
  fail: (pairs: Pair[]) => void,
  {
    code = 'ECONNRESET' as 'ECONNRESET' | 'EPIPE',
    by = 'server' as 'server' | 'client',
    protocol = 0,
  } = {},
): Made {
  const pairs = connect(lab, options, port, protocol);
  const clients = pairs.map(({ client }) => localOf(client));
  fail(pairs);
  awaitReset(
    pairs.map(({ client, server }) => (by === 'server' ? client : server)),
    code,
  );
  const server = { address: HOSTS[options.family].server, port };
  return { server, clients, netns: lab[by].inode, where: endpoint(server.address, port) };
}

/** A service above the ports of its clients. */
const HIGH_PORT = 50_123;
const LOW_PORTS = '40000 40999';
/** One that its clients could have too, and hardly ever a lower one than they. */
const HIGHER_PORT = 65_001;
const ANY_PORTS = '1024 65535';
const REQUEST = 'GET / HTTP/1.1\r\n\r\n';

function portsOf(netns: Netns, range: string): void {
  netns.sysctl({ 'net.ipv4.ip_local_port_range': range });
}

const unreadDataOnClose: ScenarioEntry = {
  id: 'unread-data-on-close',
  title: 'a server closes without having read the request',
  run: (lab, options) =>
    broken(lab, options, 8080, (pairs) => {
      say(
        pairs.map(({ client }) => client),
        'GET / HTTP/1.1\r\n\r\n',
      );
      for (const { server } of pairs) {
        awaitAll([server], POLLIN, 'the request');
        server.close();
      }
    }),
};

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

const lingerZeroClose: ScenarioEntry[] = [
  {
    id: 'linger-zero-close',
    title: 'a server closes with SO_LINGER 0',
    run: (lab, options) => cutOff(lab, options, 8443),
  },
  {
    id: 'linger-zero-close/high-port',
    title: 'the same on a port above those of its clients',
    prepare: (lab) => portsOf(lab.client, LOW_PORTS),
    run: (lab, options) => cutOff(lab, options, HIGH_PORT),
  },
  {
    id: 'linger-zero-close/any-port',
    title: 'the same where clients may have any port',
    prepare(lab) {
      portsOf(lab.client, ANY_PORTS);
      portsOf(lab.server, ANY_PORTS);
    },
    run: (lab, options) => cutOff(lab, options, HIGHER_PORT),
  },
  {
    id: 'linger-zero-close/dialled',
    title: 'clients close with SO_LINGER 0 what they dialled at such a port, unused',
    info: true,
    says: () => ({ unused: true }),
    prepare: (lab) => portsOf(lab.client, ANY_PORTS),
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
];

function cutOff(lab: Lab, options: Options, port: number, by: 'server' | 'client' = 'server') {
  const fail = (pairs: Pair[]) => {
    for (const pair of pairs) {
      lingerZero(pair[by]);
      pair[by].close();
    }
  };
  return broken(lab, options, port, fail, { by });
}

const dataAfterClose: ScenarioEntry[] = [
  {
    id: 'data-after-close',
    title: 'clients send after the server closed',
    run: (lab, options) => sentAfterFin(lab, options, closeAll),
  },
  {
    id: 'data-after-close/high-port',
    title: 'the same on a port above those of the clients',
    prepare: (lab) => portsOf(lab.client, LOW_PORTS),
    run: (lab, options) => sentAfterFin(lab, options, closeAll, HIGH_PORT),
  },
  {
    id: 'data-after-close/shutdown',
    title: 'clients send after the server shut both directions down',
    run: (lab, options) =>
      sentAfterFin(lab, options, (servers) => {
        for (const server of servers) must(server.shutdown('both'), 'shutdown');
      }),
  },
  {
    id: 'data-after-close/killed',
    title: 'clients send after a process was killed that another one had passed its connections to',
    process: 'sleep',
    says: () => ({ ended_process: /^sleep/ }),
    run: (lab, options) =>
      sentAfterFin(lab, options, (servers) => {
        const child = handTo(lab, servers);
        for (const server of servers) server.close();
        child.kill('SIGKILL');
      }),
  },
  {
    id: 'data-after-close/dialled',
    title: 'servers answer after the clients closed',
    says: () => ({ payload_bytes: 14 }),
    run: (lab, options) => sentWhen(lab, options, 'client'),
  },
  {
    id: 'data-after-close/forgotten',
    title: 'servers answer after the clients closed, when tcp_fin_timeout is over',
    says: () => ({ forgotten_after: 'tcp_fin_timeout', forgotten_after_s: 1 }),
    prepare: (lab) => lab.client.sysctl({ 'net.ipv4.tcp_fin_timeout': 1 }),
    run: (lab, options) =>
      sentWhen(lab, options, 'client', () => {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FORGOTTEN_MS);
      }),
  },
];

/** Longer than a timer of one second may be late. */
const FORGOTTEN_MS = 1300;

/** The others send what they have to say, where given when the kernel has given up what was closed. */
function sentWhen(
  lab: Lab,
  options: Options,
  by: 'server' | 'client',
  givenUp: () => void = () => {},
): Made {
  const fail = (pairs: Pair[]) => {
    const others = pairs.map(({ client, server }) => (by === 'server' ? client : server));
    for (const pair of pairs) pair[by].close();
    awaitAll(others, POLLRDHUP, 'the end of the stream');
    givenUp();
    say(others, 'one more thing');
  };
  return broken(lab, options, 8000, fail, { code: 'EPIPE', by });
}

function sentAfterOverflow(lab: Lab, options: Options, by: 'server' | 'client'): Made {
  const overflows = growth(lab[by], 'TcpExt', 'TCPTimeWaitOverflow');
  return sentWhen(lab, options, by, () =>
    until('no room in the table', () => overflows() >= options.times),
  );
}

const timewaitOverflow: ScenarioEntry[] = [
  {
    id: 'timewait-overflow',
    title: 'clients send after the server closed, which keeps no connection in TIME_WAIT',
    says: () => ({ payload_bytes: 14, tcp_max_tw_buckets: 0 }),
    prepare: (lab) => lab.server.sysctl({ 'net.ipv4.tcp_max_tw_buckets': 0 }),
    run: (lab, options) => sentAfterOverflow(lab, options, 'server'),
  },
  {
    id: 'timewait-overflow/dialled',
    title: 'the same where the clients close',
    says: () => ({ payload_bytes: 14, tcp_max_tw_buckets: 0 }),
    prepare: (lab) => lab.client.sysctl({ 'net.ipv4.tcp_max_tw_buckets': 0 }),
    run: (lab, options) => sentAfterOverflow(lab, options, 'client'),
  },
];

const finWait2Expired: ScenarioEntry[] = [
  {
    id: 'fin-wait2-expired',
    title: 'a server shuts its end down, and closes with TCP_LINGER2 below 0',
    says: () => ({ ended_by: 'TCP_LINGER2' }),
    needs: 'reset_reasons',
    run: (lab, options) =>
      broken(
        lab,
        options,
        8000,
        (pairs) => {
          for (const { client, server } of pairs) {
            must(server.shutdown('write'), 'shutdown');
            awaitAll([client], POLLRDHUP, 'the end of the stream');
            neverLinger(server);
            server.close();
          }
        },
        { code: 'EPIPE' },
      ),
  },
  {
    id: 'fin-wait2-expired/at-once',
    title: 'the same without shutting down before',
    says: () => ({ ended_by: 'TCP_LINGER2' }),
    needs: 'reset_reasons',
    run: (lab, options) =>
      broken(
        lab,
        options,
        8000,
        (pairs) => {
          for (const { server } of pairs) {
            neverLinger(server);
            server.close();
          }
        },
        { code: 'EPIPE' },
      ),
  },
];

const closeAll = (sockets: Socket[]) => {
  for (const socket of sockets) socket.close();
};

function sentAfterFin(
  lab: Lab,
  options: Options,
  finish: (servers: Socket[]) => void,
  port = 8000,
): Made {
  const fail = (pairs: Pair[]) => {
    const clients = pairs.map(({ client }) => client);
    finish(pairs.map(({ server }) => server));
    awaitAll(clients, POLLRDHUP, 'the end of the stream');
    say(clients, 'one more thing');
  };
  // A reset after the peer's FIN is told as a broken pipe.
  return broken(lab, options, port, fail, { code: 'EPIPE' });
}

const socketDestroyed: ScenarioEntry = {
  id: 'socket-destroyed',
  title: 'an administrator destroys connections of a server',
  needs: 'destroying',
  run(lab, options) {
    const port = 5222;
    return broken(lab, options, port, (pairs) => {
      lab.server.exec('ss', ['-K', `sport = :${port}`]);
      for (const { server } of pairs) {
        awaitAll([server], POLLERR, 'the end of the connection');
        server.close();
      }
    });
  },
};

const listenerClosed: ScenarioEntry = {
  id: 'listener-closed',
  title: 'a service stops while connections wait to be accepted',
  run(lab, { times, family }) {
    const server = { address: HOSTS[family].server, port: 9000 };
    const listener = listen(lab, family, server.port, times);
    const sockets = dial(lab, lab.client, server, times);
    const clients = sockets.map(localOf);
    awaitQueued(listener, times);
    listener.close();
    awaitReset(sockets, 'ECONNRESET');
    return { server, clients, netns: lab.server.inode };
  },
};

/** Servers that take their sockets away from their connections. */
function disconnected(
  lab: Lab,
  options: Options,
  before: (pair: Pair) => void,
  how: { code?: 'ECONNRESET' | 'EPIPE'; protocol?: number } = {},
): Made {
  const fail = (pairs: Pair[]) => {
    for (const pair of pairs) {
      before(pair);
      must(pair.server.disconnect(), 'disconnect');
    }
  };
  return broken(lab, options, 8443, fail, how);
}

const socketDisconnected: ScenarioEntry[] = [
  {
    id: 'socket-disconnected',
    title: 'a server disconnects its sockets, to use them again',
    says: () => ({ unread_bytes: 0, unacked_bytes: 0 }),
    run: (lab, options) => disconnected(lab, options, () => {}),
  },
  {
    id: 'socket-disconnected/unread',
    title: 'the same without having read the request',
    says: () => ({ unread_bytes: REQUEST.length }),
    run: (lab, options) =>
      disconnected(lab, options, ({ client, server }) => {
        say([client], REQUEST);
        awaitAll([server], POLLIN, 'the request');
      }),
  },
  {
    id: 'socket-disconnected/shut-down',
    title: 'the same after the server had sent a FIN',
    run(lab, options) {
      const shut = ({ client, server }: Pair) => {
        must(server.shutdown('write'), 'shutdown');
        awaitAll([client], POLLIN, 'the FIN');
      };
      return disconnected(lab, options, shut, { code: 'EPIPE' });
    },
  },
  {
    id: 'socket-disconnected/mptcp',
    title: 'a server of MPTCP disconnects its sockets',
    needs: 'mptcp',
    says: () => ({ protocol: 'MPTCP' }),
    run: (lab, options) =>
      disconnected(
        lab,
        options,
        ({ client, server }) => {
          // What has not heard of the other end yet falls back to TCP.
          say([client], REQUEST);
          awaitAll([server], POLLIN, 'the request');
          must(server.recv(), 'recv');
        },
        { protocol: IPPROTO_MPTCP },
      ),
  },
];

export default [
  unreadDataOnClose,
  ...lingerZeroClose,
  ...dataAfterClose,
  ...timewaitOverflow,
  ...finWait2Expired,
  socketDestroyed,
  listenerClosed,
  ...socketDisconnected,
] satisfies ScenarioEntry[];
