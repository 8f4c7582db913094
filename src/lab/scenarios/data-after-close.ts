// SPDX-License-Identifier: Apache-2.0

import { must, POLLRDHUP, type Socket } from '../../native/sockets.ts';
import { broken, clientsBelow, HIGH_PORT } from '../broken.ts';
import { awaitAll, growth, neverLinger, type Pair, say } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { until } from '../until.ts';
import { handTo } from './listeners.ts';

const dataAfterClose: ScenarioEntry[] = [
  {
    id: 'data-after-close',
    title: 'clients send after the server closed',
    run: (lab, options) => sentAfterFin(lab, options, closeAll),
  },
  {
    id: 'data-after-close/high-port',
    title: 'the same on a port above those of the clients',
    prepare: clientsBelow,
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
      neverLingering(lab, options, ({ client, server }) => {
        must(server.shutdown('write'), 'shutdown');
        awaitAll([client], POLLRDHUP, 'the end of the stream');
      }),
  },
  {
    id: 'fin-wait2-expired/at-once',
    title: 'the same without shutting down before',
    says: () => ({ ended_by: 'TCP_LINGER2' }),
    needs: 'reset_reasons',
    run: (lab, options) => neverLingering(lab, options, () => {}),
  },
];

const closeAll = (sockets: Socket[]) => {
  for (const socket of sockets) socket.close();
};

/** Servers close with TCP_LINGER2 below 0, after what comes `before` that. */
function neverLingering(lab: Lab, options: Options, before: (pair: Pair) => void): Made {
  const fail = (pairs: Pair[]) => {
    for (const pair of pairs) {
      before(pair);
      neverLinger(pair.server);
      pair.server.close();
    }
  };
  return broken(lab, options, 8000, fail, { code: 'EPIPE' });
}

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

export default [
  ...dataAfterClose,
  ...timewaitOverflow,
  ...finWait2Expired,
] satisfies ScenarioEntry[];
