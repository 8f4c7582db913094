// SPDX-License-Identifier: Apache-2.0

import { must, POLLIN, POLLOUT, type Socket } from '../../native/sockets.ts';
import type { Family } from '../../tcp/address.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { accept, awaitAll, dial, growth, listen, localOf, type Pair } from '../connections.ts';
import type { Lab } from '../lab.ts';
import { forward } from '../nat.ts';
import type { Netns } from '../netns.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import type { Segment } from '../segment.ts';
import { FIN_ACK, PSH_ACK, Stranger, SYN_ACK } from '../stranger.ts';
import { reached, until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 8080;
const GONE = '10.4.26.97';
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SMALL_BYTES = 4096;
/** Until the first probe after it was shut for as long as is told. */
const SHUT_MS = 3500;
/** Until who waits to be accepted was told of, where nobody says whether it was; and where somebody does, at most. */
const UNACCEPTED_MS = 11_000;
const UNTOLD_MS = 180_000;
const LOOK_MS = 500;
/** Until what is sent again comes again, or a probe does. */
const RETRY_MS = 8000;
/** After 0.2, 0.6, 1.4 and 3 s. */
const PROBES = 4;
/** A SYN-ACK is sent again after 1 s, and given up 2 s later. */
const HALF_OPEN_MS = 3300;
/** Less than any segment is limited to. */
const REQUEST = Buffer.from('GET / HTTP/1.1\r\n\r\n');
const UPLOAD = Buffer.alloc(5000, 'x');

/** Lets time go by: nothing comes meanwhile. */
function sleep(socket: Socket, ms: number): void {
  if (socket.poll(POLLIN, ms) !== 0) throw new Error('something came that nobody waits for');
}

/** Connections to a host that exists only here, and what it heard of each. */
function acquainted(lab: Lab, stranger: Stranger, times: number, window = 65_535, lost_syns = 0) {
  const server = { address: stranger.address, port: PORT };
  const sockets = dial(lab, lab.server, server, times);
  const clients = sockets.map(localOf);
  stranger.receive(TCP_FLAG.syn, lost_syns * times);
  for (const syn of stranger.receive(TCP_FLAG.syn, times))
    stranger.reply(syn, SYN_ACK, { seq: 1, window });
  awaitAll(sockets, POLLOUT, 'the connect');
  stranger.receive(TCP_FLAG.ack, times);
  return { sockets, made: { server, clients, netns: lab.server.inode } };
}

function sendAll(sockets: Socket[], bytes: Buffer): void {
  for (const socket of sockets) must(socket.send(bytes), 'send');
}

/** Acknowledges them, and hears out what the other end still has to say. */
function partFrom(stranger: Stranger, sockets: Socket[], heard: Segment[]): void {
  for (const segment of heard) stranger.reply(segment, TCP_FLAG.ack);
  for (const socket of sockets) socket.close();
  for (const fin of stranger.receive(FIN_ACK, sockets.length)) stranger.reply(fin, FIN_ACK);
  stranger.receive(TCP_FLAG.ack, sockets.length);
}

/** Connects of which only the second SYN arrives. */
function answeredLate(lab: Lab, { times, family }: Options): Made {
  using stranger = new Stranger(lab, family);
  const { sockets, made } = acquainted(lab, stranger, times, 65_535, 1);
  partFrom(stranger, sockets, []);
  return made;
}

/** Connections to a server with a small receive buffer. */
function connectNarrow(lab: Lab, { times, family }: Options): Pair[] {
  using listener = listen(lab, family, PORT, times);
  must(listener.setsockopt(SOL_SOCKET, SO_RCVBUF, SMALL_BYTES), 'setsockopt');
  const server = { address: HOSTS[family].server, port: PORT };
  return accept(listener, dial(lab, lab.client, server, times));
}

/** Fills what the server has room for, and what the client may hold. */
function fill({ client }: Pair): void {
  must(client.setsockopt(SOL_SOCKET, SO_SNDBUF, SMALL_BYTES), 'setsockopt');
  while (client.poll(POLLOUT, 300) & POLLOUT) must(client.send(Buffer.alloc(SMALL_BYTES)), 'send');
}

/** Reads what is there, to the end. */
function readOut({ client, server }: Pair): void {
  client.close();
  do awaitAll([server], POLLIN, 'more to read', RETRY_MS);
  while (must(server.recv(), 'recv').data.length > 0);
  server.close();
}

function windowOfPeer(lab: Lab, { times, family }: Options): Made {
  using stranger = new Stranger(lab, family);
  const { sockets, made } = acquainted(lab, stranger, times);
  sendAll(sockets, REQUEST);
  const heard = stranger.receive(PSH_ACK, times);
  for (const segment of heard) stranger.reply(segment, TCP_FLAG.ack, { window: 0 });
  sendAll(sockets, REQUEST);
  for (let probes = 0; probes < PROBES; probes++) {
    // A probe has the number before the one that comes next.
    for (const probe of stranger.receive(TCP_FLAG.ack, times, RETRY_MS))
      stranger.reply({ ...probe, seq: probe.seq + 1 }, TCP_FLAG.ack, { window: 0 });
  }
  for (const segment of heard) stranger.reply(segment, TCP_FLAG.ack);
  partFrom(stranger, sockets, stranger.receive(PSH_ACK, times));
  return made;
}

/** Connections to a host that never has room: something answers in its place. */
function neverOpen(lab: Lab, { times, family }: Options): Made {
  using stranger = new Stranger(lab, family);
  const { sockets, made } = acquainted(lab, stranger, times, 0);
  sendAll(sockets, REQUEST);
  for (let probes = 0; probes < PROBES; probes++) {
    const window = probes < PROBES - 1 ? 0 : 65_535;
    for (const probe of stranger.receive(TCP_FLAG.ack, times, RETRY_MS))
      stranger.reply({ ...probe, seq: probe.seq + 1 }, TCP_FLAG.ack, { window });
  }
  partFrom(stranger, sockets, stranger.receive(PSH_ACK, times));
  return made;
}

/** Nobody completes what begins there: each gets so many SYN-ACKs, and then there is silence for `wait_ms`. */
function strangersDial(lab: Lab, { times, family }: Options, synacks: number, wait_ms = 0): Made {
  using stranger = new Stranger(lab, family);
  using listener = listen(lab, family, PORT, 64);
  const ports = lab.ports(times);
  stranger.sendSyns(PORT, ports);
  stranger.receive(SYN_ACK, synacks * times);
  if (wait_ms > 0) sleep(listener, wait_ms);
  return {
    server: { address: HOSTS[family].server, port: PORT },
    clients: ports.map((port) => ({ address: stranger.address, port })),
    netns: lab.server.inode,
  };
}

/** What goes back to the stranger goes by the client's host, which says what it does not pass on. */
function backBy(lab: Lab, family: Family): void {
  const { nowhere, client } = HOSTS[family];
  lab.server.ip(`route replace ${nowhere} via ${client}`);
  lab.client.sysctl({ 'net.ipv4.icmp_ratelimit': 0, 'net.ipv6.icmp.ratelimit': 0 });
}

/** It gives a next hop up before a SYN-ACK is sent again. */
function askBriefly(netns: Netns): void {
  for (const family of ['ipv4', 'ipv6'])
    netns.sysctl({
      [`net.${family}.neigh.s0.mcast_solicit`]: 1,
      [`net.${family}.neigh.s0.retrans_time_ms`]: 250,
    });
}

function rejectSynAcks(lab: Lab, family: Family): void {
  const answer = family === 4 ? 'icmp type port-unreachable' : 'icmpv6 type addr-unreachable';
  backBy(lab, family);
  lab.client.exec(
    'nft',
    ['-f', '-'],
    `table inet lab {
      chain prerouting {
        type filter hook prerouting priority 0
        tcp sport ${PORT} tcp flags & (syn | ack) == syn | ack reject with ${answer}
      }
    }`,
  );
}

export default [
  {
    id: 'syn-resent',
    title: 'connects of which the first SYN is lost',
    says: () => ({ syns_sent: 2, waited_ms: 1000 }),
    run: answeredLate,
  },
  {
    id: 'third-ack-missing',
    title: 'clients whose third ACK never comes',
    says: () => ({ synacks_sent: 2 }),
    prepare: (lab) => lab.server.sysctl({ 'net.ipv4.tcp_synack_retries': 1 }),
    run: (lab, options) => strangersDial(lab, options, 2, HALF_OPEN_MS),
  },
  {
    id: 'third-ack-missing/rejected',
    title: 'the same, and a firewall rejects the SYN-ACKs with an error that does not end it',
    beside: ['netfilter-reject'],
    commands: ['nft'],
    says: () => ({ synacks_sent: 2, path_error: /unreachable from/ }),
    prepare(lab, { family }) {
      lab.server.sysctl({ 'net.ipv4.tcp_synack_retries': 1 });
      rejectSynAcks(lab, family);
    },
    run: (lab, options) => strangersDial(lab, options, 2, HALF_OPEN_MS),
  },
  {
    id: 'icmp-unreachable/half-open',
    title: 'SYN-ACKs that a router answers with an error that ends the half-open connection',
    beside: ['ttl-exceeded', 'no-route'],
    says: () => ({ half_open: true, sender: 'a hop' }),
    prepare(lab, { family }) {
      backBy(lab, family);
      forward(lab.client);
      const { nowhere, server } = HOSTS[family];
      if (family === 6) lab.client.ip(`route add prohibit ${nowhere}`);
      else {
        lab.server.sysctl({ 'net.ipv4.ip_default_ttl': 1 });
        lab.client.ip(`route add ${nowhere} via ${server}`);
      }
    },
    run(lab, options) {
      const ended = growth(lab.server, 'TcpExt', 'ListenDrops');
      const made = strangersDial(lab, options, 1);
      until('the half-open connections to be gone', () => ended() >= options.times);
      return made;
    },
  },
  {
    id: 'neighbour-failed/answered',
    title: 'SYN-ACKs for which the gateway back is gone',
    // The same error of IPv6 does not end it.
    families: [4],
    ownerless: true,
    beside: ['icmp-unreachable', 'synack-unsent'],
    says: () => ({ neighbour: GONE, is_gateway: true, flags: 'SA' }),
    prepare(lab, { family }) {
      lab.server.ip(`route replace ${HOSTS[family].nowhere} via ${GONE}`);
      askBriefly(lab.server);
    },
    run(lab, { times, family }) {
      using stranger = new Stranger(lab, family);
      using _ = listen(lab, family, PORT, 64);
      const ended = growth(lab.server, 'TcpExt', 'ListenDrops');
      const ports = lab.ports(times);
      stranger.sendSyns(PORT, ports);
      until('the half-open connections to be gone', () => ended() >= times);
      return {
        server: { address: HOSTS[family].server, port: PORT },
        clients: ports.map((port) => ({ address: stranger.address, port })),
        netns: lab.server.inode,
      };
    },
  },
  {
    id: 'peer-window-shut',
    title: 'another host that keeps its window shut, and answers probes',
    says: () => ({ answers_probes: true, waiting_bytes: REQUEST.length }),
    run: windowOfPeer,
  },
  {
    id: 'peer-window-shut/never-open',
    title: 'another host that takes connections, and nothing that is sent on them',
    says: () => ({ never_open: true, waiting_bytes: REQUEST.length }),
    run: neverOpen,
  },
  {
    id: 'receiver-not-reading',
    title: 'a server that does not read what clients send',
    // What was on its way as the buffer became full.
    beside: ['receive-buffer-full'],
    run(lab, options) {
      const pairs = connectNarrow(lab, options);
      const clients = pairs.map(({ client }) => localOf(client));
      for (const pair of pairs) fill(pair);
      sleep(pairs[0]?.client as Socket, SHUT_MS);
      for (const pair of pairs) readOut(pair);
      return {
        server: { address: HOSTS[options.family].server, port: PORT },
        clients,
        netns: lab.server.inode,
      };
    },
  },
  {
    id: 'receiver-not-reading/unaccepted',
    title: 'a server that does not accept, with room for those who wait',
    looked_for: true,
    says: ({ times }) => ({
      unread_bytes: REQUEST.length,
      accept_queue: times,
      accept_queue_max: 2 * times,
    }),
    run(lab, { times, family, isTold }) {
      const server = { address: HOSTS[family].server, port: PORT };
      using listener = listen(lab, family, PORT, 2 * times);
      const clients = dial(lab, lab.client, server, times);
      awaitAll(clients, POLLOUT, 'the connect');
      sendAll(clients, REQUEST);
      const most_ms = isTold ? UNTOLD_MS : UNACCEPTED_MS;
      for (let waited_ms = 0; waited_ms < most_ms && !isTold?.(); waited_ms += LOOK_MS) {
        sleep(clients[0] as Socket, LOOK_MS);
        reached('time to go by');
      }
      const addresses = clients.map(localOf);
      for (const pair of accept(listener, clients)) readOut(pair);
      return { server, clients: addresses, netns: lab.server.inode };
    },
  },
  {
    id: 'retransmitting',
    title: 'requests that are acknowledged when they were sent again four times',
    run(lab, { times, family }) {
      using stranger = new Stranger(lab, family);
      const { sockets, made } = acquainted(lab, stranger, times);
      sendAll(sockets, REQUEST);
      for (let sent = 0; sent < 4; sent++) stranger.receive(PSH_ACK, times, RETRY_MS);
      partFrom(stranger, sockets, stranger.receive(PSH_ACK, times, RETRY_MS));
      return made;
    },
  },
  {
    id: 'mtu-black-hole',
    title: 'small segments are acknowledged, full ones never',
    says: () => ({ passed_bytes: REQUEST.length }),
    run(lab, { times, family }) {
      using stranger = new Stranger(lab, family);
      const { sockets, made } = acquainted(lab, stranger, times);
      sendAll(sockets, REQUEST);
      const requests = stranger.receive(PSH_ACK, times);
      for (const request of requests) stranger.reply(request, TCP_FLAG.ack);
      sendAll(sockets, UPLOAD);
      for (let sent = 0; sent < 4; sent++) stranger.receive(TCP_FLAG.ack, times, RETRY_MS);
      // All of it: which of its segments came how often depends on how fast the machine is.
      for (const { seq, ...request } of requests)
        stranger.reply({ ...request, seq: seq + UPLOAD.length }, TCP_FLAG.ack);
      partFrom(stranger, sockets, []);
      return made;
    },
  },
] satisfies ScenarioEntry[];
