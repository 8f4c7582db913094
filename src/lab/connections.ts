// SPDX-License-Identifier: Apache-2.0

import { constants } from 'node:os';
import { type Address, must, POLLERR, POLLIN, POLLOUT, type Socket } from '../native/sockets.ts';
import type { Family } from '../tcp/address.ts';
import { familyOf } from '../tcp/address.ts';
import type { Lab } from './lab.ts';
import type { Netns } from './netns.ts';
import { aside, reached, until } from './until.ts';
import { HOSTS } from './wiring.ts';

const PATIENCE_MS = 2000;
/** Longer than the lab's connections wait for an answer. */
const TIMEOUT_PATIENCE_MS = 10_000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const SO_LINGER = 13;
const SO_REUSEPORT = 15;
const SO_BINDTODEVICE = 25;
const IPPROTO_TCP = 6;
const IPPROTO_IP = 0;
const IP_TRANSPARENT = 19;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const IPV6_TRANSPARENT = 75;
export const IPPROTO_MPTCP = 262;
const TCP_LINGER2 = 8;
const TCP_REPAIR = 19;
const TCP_INFO = 11;
/** In struct tcp_info; of a listener it is the length of its accept queue. */
const TCPI_UNACKED = 24;

export interface Pair {
  client: Socket;
  server: Socket;
}

export interface ListenOptions {
  /** The server's own unless given. */
  address?: string;
  /** Other listeners may share the end. */
  reuseport?: boolean;
  /** Only what comes in by this device. */
  device?: string;
  /** IPv6 only. */
  v6only?: boolean;
  /** A transparent proxy's: takes what is sent to addresses that this host does not have. */
  transparent?: boolean;
  protocol?: number;
}

/** Listens in the lab's server namespace. */
export function listen(
  lab: Lab,
  family: Family,
  port: number,
  backlog: number,
  options: ListenOptions = {},
): Socket {
  const { address = HOSTS[family].server, reuseport, device, v6only, protocol = 0 } = options;
  const listener = lab.socket(lab.server, { family, protocol });
  const set = (level: number, name: number, value: number | Uint8Array) =>
    must(listener.setsockopt(level, name, value), 'setsockopt');
  set(SOL_SOCKET, SO_REUSEADDR, 1);
  if (reuseport) set(SOL_SOCKET, SO_REUSEPORT, 1);
  if (device) set(SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${device}\0`));
  if (v6only) set(IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (options.transparent) {
    if (family === 4) set(IPPROTO_IP, IP_TRANSPARENT, 1);
    else set(IPPROTO_IPV6, IPV6_TRANSPARENT, 1);
  }
  must(listener.bind(address, port), 'bind');
  must(listener.listen(backlog), 'listen');
  return listener;
}

/** How many connections wait in the accept queue. */
export function queued(listener: Socket): number {
  const { data } = must(listener.getsockopt(IPPROTO_TCP, TCP_INFO), 'getsockopt');
  return data.readUInt32LE(TCPI_UNACKED);
}

/** Waits until so many connections are in the accept queue. */
export function awaitQueued(listener: Socket, count: number): void {
  until(`${count} connections to wait for accept()`, () => queued(listener) >= count);
}

/** Begins so many connects at once. */
export function dial(lab: Lab, from: Netns, to: Address, times: number, protocol = 0): Socket[] {
  return dialWith(lab, from, to, times, () => {}, protocol);
}

/** The same with sockets that are set up first. */
export function dialWith(
  lab: Lab,
  from: Netns,
  to: Address,
  times: number,
  setUp: (socket: Socket) => void,
  protocol = 0,
): Socket[] {
  const family = familyOf(to.address);
  const sockets = Array.from({ length: times }, () => lab.socket(from, { family, protocol }));
  for (const socket of sockets) {
    setUp(socket);
    beginConnect(socket, to);
  }
  return sockets;
}

/** Connects one after the other that all fail at once, with this errno; sockets may be set up first. */
export function failAtOnce(
  lab: Lab,
  from: Netns,
  to: Address,
  times: number,
  code: string,
  setUp: (socket: Socket) => void = () => {},
): void {
  for (let time = 0; time < times; time++) {
    const socket = lab.socket(from, { family: familyOf(to.address) });
    setUp(socket);
    const { error } = socket.connect(to.address, to.port);
    if (error !== code) throw new Error(`expected ${code}, got ${error}`);
    socket.close();
  }
}

/** Of a socket that is not bound. */
export const anyOf = (family: Family) => (family === 4 ? '0.0.0.0' : '::');

/** Sends a SYN from each of so many ports, and gives up at once: none is sent again. */
export function knock(lab: Lab, to: Address, times: number, from = lab.client): Address[] {
  return dial(lab, from, to, times).map((socket) => {
    const local = localOf(socket);
    socket.close();
    return local;
  });
}

/** Begins to connect from this end, in the lab's client namespace. */
export function dialFrom(lab: Lab, from: Address, to: Address): Socket {
  const socket = lab.socket(lab.client, { family: familyOf(to.address) });
  must(socket.bind(from.address, from.port), 'bind');
  beginConnect(socket, to);
  return socket;
}

/** The same from a port that other connections may use too. */
export function shareFrom(lab: Lab, netns: Netns, from: Address, to: Address): Socket {
  const socket = lab.socket(netns, { family: familyOf(to.address) });
  must(socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1), 'setsockopt');
  must(socket.bind(from.address, from.port), 'bind');
  beginConnect(socket, to);
  return socket;
}

export function beginConnect(socket: Socket, to: Address): void {
  const { error } = socket.connect(to.address, to.port);
  if (error !== 'EINPROGRESS' && error !== null) throw new Error(`connect failed: ${error}`);
}

/** Connections from as many ports, accepted; the listener is closed. */
export function connect(
  lab: Lab,
  { times, family }: { times: number; family: Family },
  port: number,
  protocol = 0,
): Pair[] {
  const listener = listen(lab, family, port, times, { protocol });
  const server = { address: HOSTS[family].server, port };
  const clients = dial(lab, lab.client, server, times, protocol);
  const pairs = accept(listener, clients);
  listener.close();
  return pairs;
}

/** Accepts every one of the clients. */
export function accept(listener: Socket, clients: Socket[]): Pair[] {
  const byPort = new Map(clients.map((client) => [localOf(client).port, client]));
  return clients.map(() => {
    awaitOne(listener, POLLIN, 'a connection to accept');
    const { socket: server } = must(listener.accept({ name: false }), 'accept');
    const client = byPort.get(must(server.getpeername(), 'getpeername').port);
    if (!client) throw new Error('accepted a connection that nobody here made');
    awaitOne(client, POLLOUT, 'the connect');
    return { client, server };
  });
}

/** Waits until each socket has the events, or an error. */
export function awaitAll(
  sockets: Socket[],
  events: number,
  what: string,
  patience_ms = PATIENCE_MS,
): void {
  for (const socket of sockets) awaitOne(socket, events, what, patience_ms);
}

function awaitOne(socket: Socket, events: number, what: string, patience_ms = PATIENCE_MS): void {
  if (socket.poll(events, patience_ms) === 0)
    throw new Error(`waited ${patience_ms} ms for ${what}`);
  reached(what);
}

/** Waits for each connect to be refused, or each connection to be reset. */
export function awaitReset(sockets: Socket[], code: keyof typeof constants.errno): void {
  awaitAll(sockets, POLLERR, 'a reset');
  closeFailed(sockets, code);
}

/** Waits for each socket to have waited for an answer in vain. */
export function awaitTimeout(
  sockets: Socket[],
  error: keyof typeof constants.errno = 'ETIMEDOUT',
): void {
  awaitAll(sockets, POLLERR, 'a timeout', TIMEOUT_PATIENCE_MS);
  closeFailed(sockets, error);
}

function closeFailed(sockets: Socket[], code: keyof typeof constants.errno): void {
  for (const socket of sockets) {
    const errno = must(socket.getsockopt(SOL_SOCKET, SO_ERROR), 'getsockopt').data.readInt32LE();
    if (errno !== constants.errno[code]) throw new Error(`expected ${code}, got errno ${errno}`);
    socket.close();
  }
}

export function say(sockets: Socket[], text: string): void {
  for (const socket of sockets) must(socket.send(Buffer.from(text)), 'send');
}

/** Closing it sends a reset from now on. */
export function lingerZero(socket: Socket): void {
  const on_at_once = Buffer.from(new Int32Array([1, 0]).buffer);
  must(socket.setsockopt(SOL_SOCKET, SO_LINGER, on_at_once), 'setsockopt');
}

/** Closes them without a word to their peers. */
export function closeUnheard(sockets: Socket[]): void {
  for (const socket of sockets) {
    must(socket.setsockopt(IPPROTO_TCP, TCP_REPAIR, 1), 'setsockopt');
    socket.close();
  }
}

/** Ends connections in the ordinary way: nothing unread, a FIN from each side. */
export function hangUp(pairs: Pair[]): void {
  for (const { client, server } of pairs) {
    client.close();
    aside(() => awaitOne(server, POLLIN, 'the end of a connection'));
    if (must(server.recv(), 'recv').data.length > 0)
      throw new Error('hung up with something unread');
    server.close();
  }
}

export function localOf(socket: Socket): Address {
  return must(socket.getsockname(), 'getsockname');
}

/** Closing it does not wait for the other end in FIN_WAIT2. */
export function neverLinger(socket: Socket): void {
  must(socket.setsockopt(IPPROTO_TCP, TCP_LINGER2, -1), 'setsockopt');
}

/** How much a counter has grown since, asked as often as wanted. */
export function growth(netns: Netns, group: string, name: string): () => number {
  const before = netns.counter(group, name);
  return () => netns.counter(group, name) - before;
}
