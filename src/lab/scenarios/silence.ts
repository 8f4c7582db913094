// SPDX-License-Identifier: Apache-2.0

import { must, POLLOUT, type Socket } from '../../native/sockets.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import {
  accept,
  awaitAll,
  awaitQueued,
  awaitTimeout,
  beginConnect,
  dial,
  hangUp,
  listen,
  localOf,
} from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Netns } from '../netns.ts';
import { rejectOut, rule } from '../rules.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { Stranger, SYN_ACK } from '../stranger.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 8080;
/** A queue takes one more than its limit. */
const BACKLOG = 3;
const SOL_SOCKET = 1;
const SO_KEEPALIVE = 9;
const IPPROTO_TCP = 6;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_USER_TIMEOUT = 18;

/** A SYN is sent again once: a connect is given up after 3 s, where retries do not wait the same time. */
export function giveUpSoon(netns: Netns): void {
  netns.sysctl({ 'net.ipv4.tcp_syn_retries': 1 });
  const linear = 'net.ipv4.tcp_syn_linear_timeouts';
  if (netns.has(linear)) netns.sysctl({ [linear]: 0 });
}

/** On no device of the lab, but for a moment. */
const GONE = '2001:db8:26::98';

/** Connects that nobody answers. */
function unanswered(
  lab: Lab,
  { times, family }: Options,
  setUp: (sockets: Socket[]) => void = () => {},
): Made {
  const server = { address: HOSTS[family].nowhere, port: PORT };
  const sockets = Array.from({ length: times }, () => lab.socket(lab.server, { family }));
  setUp(sockets);
  for (const socket of sockets) beginConnect(socket, server);
  const clients = sockets.map(localOf);
  awaitTimeout(sockets);
  return { server, clients, netns: lab.server.inode };
}

/** Connections to a host that is there for the handshake, and gone then. */
function abandoned(
  lab: Lab,
  { times, family }: Options,
  wait: (socket: Socket) => void,
  connected = () => {},
  error: 'ETIMEDOUT' | 'ECONNREFUSED' = 'ETIMEDOUT',
): Made {
  using stranger = new Stranger(lab, family);
  const server = { address: stranger.address, port: PORT };
  const sockets = dial(lab, lab.server, server, times);
  const clients = sockets.map(localOf);
  for (const syn of stranger.receive(TCP_FLAG.syn, times)) stranger.reply(syn, SYN_ACK, { seq: 1 });
  awaitAll(sockets, POLLOUT, 'the connect');
  connected();
  for (const socket of sockets) wait(socket);
  awaitTimeout(sockets, error);
  return { server, clients, netns: lab.server.inode };
}

function request(socket: Socket): void {
  must(socket.send(Buffer.from('GET / HTTP/1.1\r\n\r\n')), 'send');
}

function upload(socket: Socket): void {
  must(socket.send(Buffer.alloc(5000, 'x')), 'send');
}

/** Connects that the server's kernel refuses without a word, first and again. */
function refused(lab: Lab, { times, family }: Options): Made {
  const server = { address: HOSTS[family].server, port: PORT };
  using listener = listen(lab, family, PORT, BACKLOG);
  const waiting = dial(lab, lab.client, server, BACKLOG + 1);
  awaitQueued(listener, waiting.length);
  const made = timedOut(lab, { times, family });
  hangUp(accept(listener, waiting));
  return made;
}

/** Connects to the server that it does not answer. */
function timedOut(lab: Lab, { times, family }: Options): Made {
  const server = { address: HOSTS[family].server, port: PORT };
  const sockets = dial(lab, lab.client, server, times);
  const clients = sockets.map(localOf);
  awaitTimeout(sockets);
  return { server, clients, netns: lab.client.inode };
}

const connectTimeout: ScenarioEntry[] = [
  {
    id: 'connect-timeout/source-gone',
    title: 'connects from an address that was removed since, which IPv6 sends all the same',
    families: [6],
    says: () => ({ source_missing: true }),
    prepare: (lab) => giveUpSoon(lab.server),
    run(lab, options) {
      lab.server.ip(`addr add ${GONE}/64 dev s0 nodad`);
      return unanswered(lab, options, (sockets) => {
        for (const socket of sockets) must(socket.bind(GONE, 0), 'bind');
        lab.server.ip(`addr del ${GONE}/64 dev s0`);
      });
    },
  },
  {
    id: 'connect-timeout',
    title: 'connects to a host that never answers',
    prepare: (lab) => giveUpSoon(lab.server),
    run: (lab, options) => unanswered(lab, options),
  },
  {
    id: 'connect-timeout/accept-queue-full',
    beside: ['accept-queue-full'],
    title: 'connects to a server whose accept queue stays full',
    prepare: (lab) => giveUpSoon(lab.client),
    run: refused,
  },
  {
    id: 'connect-timeout/netfilter-drop',
    beside: ['netfilter-drop'],
    title: 'connects that a firewall rule of the server drops',
    commands: ['nft'],
    prepare(lab) {
      giveUpSoon(lab.client);
      rule(lab, PORT, 'drop');
    },
    run(lab, options) {
      using _listener = listen(lab, options.family, PORT, options.times);
      return timedOut(lab, options);
    },
  },
];

const keepaliveTimeout: ScenarioEntry = {
  id: 'keepalive-timeout',
  title: 'idle connections to a host that is gone',
  run: (lab, options) =>
    abandoned(lab, options, (socket) => {
      for (const name of [TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT])
        must(socket.setsockopt(IPPROTO_TCP, name, 1), 'setsockopt');
      must(socket.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1), 'setsockopt');
    }),
};

const retransmitTimeout: ScenarioEntry[] = [
  {
    id: 'retransmit-timeout',
    title: 'requests to a host that is gone, sent again until tcp_retries2',
    prepare: (lab) => lab.server.sysctl({ 'net.ipv4.tcp_retries2': 1 }),
    run: (lab, options) => abandoned(lab, options, request),
  },
  {
    id: 'retransmit-timeout/patient',
    beside: ['retransmitting'],
    title: 'the same, sent again for so long that packets alone tell of it',
    prepare: (lab) => lab.server.sysctl({ 'net.ipv4.tcp_retries2': 4 }),
    run: (lab, options) => abandoned(lab, options, request),
  },
  {
    id: 'retransmit-timeout/first-full',
    beside: ['retransmitting'],
    title: 'downloads of which nothing arrives: a tunnel on the way takes less',
    // What a peer takes that does not say.
    says: ({ family }) => ({ full_segment_bytes: family === 4 ? 536 : 1220 }),
    prepare: (lab) => lab.server.sysctl({ 'net.ipv4.tcp_retries2': 4 }),
    run: (lab, options) => abandoned(lab, options, upload),
  },
  {
    id: 'retransmit-timeout/address-gone',
    title: 'requests of connections whose own address was removed',
    // Of IPv6 the kernel sends with such an address too.
    families: [4],
    says: () => ({ could_not_send: true, source_missing: true, unacked_bytes: 18 }),
    prepare: (lab) => lab.server.sysctl({ 'net.ipv4.tcp_retries2': 1 }),
    run: (lab, options) =>
      abandoned(lab, options, request, () =>
        lab.server.ip('addr flush dev s0 scope global', 'addr add 10.200.200.1/24 dev s0'),
      ),
  },
  {
    id: 'retransmit-timeout/rejected',
    beside: ['netfilter-reject'],
    title: 'requests of connections that a rule rejects with an ICMP error since they were made',
    commands: ['nft'],
    says: () => ({ error: 'ECONNREFUSED', path_error: /port unreachable/ }),
    prepare: (lab) => lab.server.sysctl({ 'net.ipv4.tcp_retries2': 1 }),
    run: (lab, options) =>
      abandoned(
        lab,
        options,
        request,
        () => lab.server.exec('nft', ['-f', '-'], rejectOut(PORT)),
        'ECONNREFUSED',
      ),
  },
];

const userTimeout: ScenarioEntry = {
  id: 'user-timeout',
  title: 'requests to a host that is gone, with TCP_USER_TIMEOUT',
  run: (lab, options) =>
    abandoned(lab, options, (socket) => {
      must(socket.setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, 500), 'setsockopt');
      request(socket);
    }),
};

export default [
  ...connectTimeout,
  keepaliveTimeout,
  ...retransmitTimeout,
  userTimeout,
] satisfies ScenarioEntry[];
