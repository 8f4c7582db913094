// SPDX-License-Identifier: Apache-2.0

import { must, POLLIN, type Socket } from '../../native/sockets.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { anyOf, awaitAll, growth, type ListenOptions, listen } from '../connections.ts';
import type { Lab } from '../lab.ts';
import { rule } from '../rules.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import type { Segment } from '../segment.ts';
import { FIN_ACK, PSH_ACK, RST_ACK, Stranger, SYN_ACK } from '../stranger.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 8443;
const IPPROTO_TCP = 6;
const TCP_DEFER_ACCEPT = 9;
const TCP_FASTOPEN = 23;
/** A SYN-ACK is sent again after 1 s, and given up 2 s later. */
const HALF_OPEN_MS = 3300;
/** So long a listener waits for data; then a SYN-ACK is sent again, and given up 4 s later. */
const DEFERRAL_S = 3;
const DEFERRED_MS = 7300;
const REQUEST = Buffer.from('GET / HTTP/1.1\r\n\r\n');
/** The Fast Open option, with a cookie that nobody made. */
const COOKIE = Buffer.from([34, 10, 1, 2, 3, 4, 5, 6, 7, 8]);
/** net.ipv4.tcp_fastopen: listeners take it, and need no cookie. */
const FASTOPEN = { server: 2, no_cookie: 0x200 } as const;
const BEYOND = 1 << 30;
/** Within any window. */
const AHEAD = 1000;
/** Timestamps of two hosts that arrive as one. */
const CLOCK = 2_088_983_548;
const OLDER_CLOCK = 271_344_470;

interface Dialling {
  stranger: Stranger;
  listener: Socket;
  ports: number[];
  made: Made;
}

/** A listener, and a stranger with a port for each time. */
function meeting(
  lab: Lab,
  { times, family }: Options,
  work: (dialling: Dialling) => void,
  { backlog = 64, ...options }: ListenOptions & { backlog?: number } = {},
): Made {
  using stranger = new Stranger(lab, family);
  using listener = listen(lab, family, PORT, backlog, options);
  const ports = lab.ports(times);
  const made = {
    server: { address: HOSTS[family].server, port: PORT },
    clients: ports.map((port) => ({ address: stranger.address, port })),
    netns: lab.server.inode,
  };
  work({ stranger, listener, ports, made });
  return made;
}

/** SYNs with data and this option. */
function dialFast(stranger: Stranger, ports: number[], options: Uint8Array): void {
  for (const sport of ports)
    stranger.send({
      ...{ sport, dport: PORT, flags: TCP_FLAG.syn, seq: sport * 65_537, window: 65535 },
      ...{ options, payload: REQUEST },
    });
}

/** Lets the half-open connections be given up. */
function expire(listener: Socket, after_ms = HALF_OPEN_MS): void {
  if (listener.poll(POLLIN, after_ms) !== 0) throw new Error('a connection opened');
}

/** Ends a connection that the listener takes. */
function finish(listener: Socket, stranger: Stranger, synAck: Segment): void {
  stranger.reply(synAck, TCP_FLAG.ack);
  awaitAll([listener], POLLIN, 'a connection to accept');
  const { socket } = must(listener.accept(), 'accept');
  must(socket.recv(), 'recv');
  socket.close();
  for (const fin of stranger.receive(FIN_ACK, 1)) stranger.reply(fin, FIN_ACK);
  stranger.receive(TCP_FLAG.ack, 1);
}

const fastopenRejected: ScenarioEntry[] = [
  {
    id: 'fastopen-rejected',
    title: 'SYNs with data and a Fast Open cookie that this host never made',
    says: () => ({ refused_for: 'cookie', payload_bytes: REQUEST.length }),
    prepare: (lab) => lab.server.sysctl({ 'net.ipv4.tcp_fastopen': FASTOPEN.server }),
    run: (lab, options) =>
      meeting(lab, options, ({ stranger, listener, ports }) => {
        must(listener.setsockopt(IPPROTO_TCP, TCP_FASTOPEN, 16), 'setsockopt');
        dialFast(stranger, ports, COOKIE);
        stranger.receive(SYN_ACK, options.times);
      }),
  },
  {
    id: 'fastopen-rejected/queue',
    title: 'Fast Open connections whose third ACK is missing fill the queue',
    says: () => ({ refused_for: 'queue', fast_open_queue: 1, fast_open_queue_max: 1 }),
    prepare: (lab) =>
      lab.server.sysctl({ 'net.ipv4.tcp_fastopen': FASTOPEN.server + FASTOPEN.no_cookie }),
    run: (lab, options) =>
      meeting(lab, options, ({ stranger, listener, ports }) => {
        must(listener.setsockopt(IPPROTO_TCP, TCP_FASTOPEN, 1), 'setsockopt');
        dialFast(stranger, lab.ports(1), COOKIE);
        const [first] = stranger.receive(SYN_ACK, 1);
        dialFast(stranger, ports, COOKIE);
        stranger.receive(SYN_ACK, options.times);
        finish(listener, stranger, { ...(first as Segment) });
      }),
  },
];

function deferred(lab: Lab, options: Options, work: (one: Dialling, synAcks: Segment[]) => void) {
  return meeting(lab, options, (dialling) => {
    const { stranger, listener, ports } = dialling;
    must(listener.setsockopt(IPPROTO_TCP, TCP_DEFER_ACCEPT, DEFERRAL_S), 'setsockopt');
    stranger.sendSyns(PORT, ports);
    const synAcks = stranger.receive(SYN_ACK, options.times);
    for (const synAck of synAcks) stranger.reply(synAck, TCP_FLAG.ack);
    work(dialling, synAcks);
  });
}

const retriesOnce = (lab: Lab) => lab.server.sysctl({ 'net.ipv4.tcp_synack_retries': 1 });

function sayTooLate(stranger: Stranger, synAcks: Segment[], payload: Buffer): void {
  const flags = payload.length === 0 ? TCP_FLAG.ack : PSH_ACK;
  for (const synAck of synAcks) stranger.reply(synAck, flags, { payload });
  stranger.receive(TCP_FLAG.rst, synAcks.length);
}

const expired: ScenarioEntry[] = [
  {
    id: 'defer-accept',
    title: 'clients connect, send nothing, and are gone when they are asked (TCP_DEFER_ACCEPT)',
    says: () => ({ tcp_defer_accept_s: DEFERRAL_S, synacks_sent: 2 }),
    prepare: retriesOnce,
    run: (lab, options) => deferred(lab, options, ({ listener }) => expire(listener, DEFERRED_MS)),
  },
  {
    id: 'request-expired',
    beside: ['third-ack-missing'],
    title: 'third ACKs that come when their half-open connections were given up',
    says: () => ({ acknowledged: false, synacks_sent: 2 }),
    prepare: retriesOnce,
    run: (lab, options) =>
      meeting(lab, options, ({ stranger, listener, ports }) => {
        stranger.sendSyns(PORT, ports);
        const synAcks = stranger.receive(SYN_ACK, options.times);
        expire(listener);
        sayTooLate(stranger, synAcks, Buffer.alloc(0));
      }),
  },
  {
    id: 'request-expired/deferred',
    beside: ['defer-accept'],
    title: 'requests that come when a listener has waited for them long enough (TCP_DEFER_ACCEPT)',
    says: () => ({ acknowledged: true, defers_accept: true, payload_bytes: REQUEST.length }),
    prepare: retriesOnce,
    run: (lab, options) =>
      deferred(lab, options, ({ stranger, listener }, synAcks) => {
        expire(listener, DEFERRED_MS);
        sayTooLate(stranger, synAcks, REQUEST);
      }),
  },
];

/** SYNs from ports whose handshakes are pending, with another initial sequence number. */
function collide(lab: Lab, options: Options, ahead: number, answer: number): Made {
  return meeting(lab, options, ({ stranger, ports }) => {
    stranger.clock = answer === TCP_FLAG.ack ? CLOCK : null;
    stranger.sendSyns(PORT, ports);
    const synAcks = stranger.receive(SYN_ACK, options.times);
    if (ahead === 0) stranger.clock = OLDER_CLOCK;
    for (const { ack, dport: sport } of synAcks)
      stranger.send({ sport, dport: PORT, flags: TCP_FLAG.syn, seq: ack + ahead, window: 65535 });
    stranger.receive(answer, options.times);
  });
}

const collisions: ScenarioEntry[] = [
  {
    id: 'pending-request-collision/in-window',
    title: 'a second SYN whose number is one that the pending handshake could take',
    says: () => ({ outcome: 'reset' }),
    run: (lab, options) => collide(lab, options, AHEAD, RST_ACK),
  },
  {
    id: 'pending-request-collision/older',
    title: 'the same with an older timestamp',
    says: () => ({ outcome: /^older timestamp|acknowledged$/ }),
    run: (lab, options) => collide(lab, options, 0, TCP_FLAG.ack),
  },
];

const pendingRequestCollision: ScenarioEntry = {
  id: 'pending-request-collision',
  title: 'a second host dials from ports whose handshakes are pending',
  // From 6.15 on the kernel says why it drops what meets a pending handshake.
  knows: 'SKB_DROP_REASON_TCP_RFC7323_TSECR',
  run: (lab, options) => collide(lab, options, BEYOND, TCP_FLAG.ack),
};

/** tcp_max_syn_backlog, and after how many half-open connections its last quarter begins. */
const MOST = 16;
const THREE_QUARTERS = 13;

const synUnprovenPeer: ScenarioEntry = {
  id: 'syn-unproven-peer',
  title: 'SYNs of a host that is not known, when three quarters of tcp_max_syn_backlog are taken',
  says: () => ({ syn_queue: THREE_QUARTERS, tcp_max_syn_backlog: MOST }),
  prepare(lab) {
    lab.server.sysctl({ 'net.ipv4.tcp_syncookies': 0, 'net.ipv4.tcp_max_syn_backlog': MOST });
  },
  run: (lab, options) =>
    meeting(lab, options, ({ stranger, ports }) => {
      const moved = growth(lab.server, 'TcpExt', 'ListenDrops');
      stranger.sendSyns(PORT, lab.ports(THREE_QUARTERS));
      stranger.receive(SYN_ACK, THREE_QUARTERS);
      stranger.sendSyns(PORT, ports);
      until('the SYNs to be refused', () => moved() >= options.times);
    }),
};

/** Of all hosts of the lab's network. */
const EVERYBODY = { 4: '10.4.26.255', 6: 'ff02::1' } as const;

const synDroppedOneOf: ScenarioEntry = {
  id: 'syn-dropped-one-of',
  title: 'SYNs to an address of many hosts, in frames for one',
  // Where functions are hooked, the kernel drops it before the one that decides of SYNs.
  tier: 'tracepoints',
  run(lab, { times, family }) {
    using stranger = new Stranger(lab, family);
    using _listener = listen(lab, family, PORT, times, { address: anyOf(family) });
    const moved = growth(lab.server, 'TcpExt', 'ListenDrops');
    const ports = lab.ports(times);
    const server = { address: EVERYBODY[family], port: PORT };
    for (const sport of ports)
      stranger.send({ sport, dport: PORT, flags: TCP_FLAG.syn, window: 65535 }, server.address);
    until('the SYNs to be refused', () => moved() >= times);
    const clients = ports.map((port) => ({ address: stranger.address, port }));
    return { server, clients, netns: lab.server.inode };
  },
};

const synackUnsent: ScenarioEntry = {
  id: 'synack-unsent',
  beside: ['netfilter-drop'],
  title: 'a rule of the server drops its SYN-ACKs on their way out',
  ownerless: true,
  commands: ['nft'],
  prepare: (lab) => rule(lab, PORT, 'drop', 'output'),
  run: (lab, options) =>
    meeting(lab, options, ({ stranger, ports }) => {
      const sent = growth(lab.server, 'Tcp', 'OutSegs');
      stranger.sendSyns(PORT, ports);
      until('the SYN-ACKs to be sent', () => sent() >= options.times);
    }),
};

const handshakes: ScenarioEntry[] = [
  ...fastopenRejected,
  ...expired,
  pendingRequestCollision,
  ...collisions,
  synackUnsent,
  synUnprovenPeer,
  synDroppedOneOf,
];

export default [...handshakes] satisfies ScenarioEntry[];
