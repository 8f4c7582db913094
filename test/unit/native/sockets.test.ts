// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  must,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  poll,
  Socket,
  type SocketOptions,
} from '../../../src/native/sockets.ts';

const root = process.getuid?.() === 0;
const SOL_SOCKET = 1;
const SO_LINGER = 13;

function listen(host: string, options: SocketOptions = {}): Socket {
  const listener = Socket.open(options);
  must(listener.bind(host, 0));
  must(listener.listen(8));
  return listener;
}

function connect(listener: Socket, options: SocketOptions = {}): [client: Socket, server: Socket] {
  const { address, port } = must(listener.getsockname());
  const client = Socket.open(options);
  expect(client.connect(address, port)).toEqual({ error: 'EINPROGRESS' });
  expect(client.poll(POLLOUT, 1000)).toBe(POLLOUT);
  return [client, must(listener.accept()).socket];
}

describe.each([
  [4, '127.0.0.1'],
  [6, '::1'],
] as const)('IPv%d', (family, host) => {
  it('tells a refused connection', () => {
    using listener = listen(host, { family });
    const { address, port } = must(listener.getsockname());
    listener.close();
    using client = Socket.open({ family });
    expect(client.connect(address, port)).toEqual({ error: 'EINPROGRESS' });
    expect(client.poll(POLLOUT, 1000) & (POLLERR | POLLHUP)).toBe(POLLERR | POLLHUP);
    expect(client.recv()).toEqual({ error: 'ECONNREFUSED' });
  });

  it('connects, sends, receives and ends', () => {
    using listener = listen(host, { family });
    expect(listener.accept()).toEqual({ error: 'EAGAIN' });
    const [client, server] = connect(listener, { family });
    expect(must(server.getpeername())).toEqual(must(client.getsockname()));
    expect(client.recv()).toEqual({ error: 'EAGAIN' });
    expect(server.send(Buffer.from('why'))).toEqual({ error: null, bytes: 3 });
    expect(client.poll(POLLIN, 1000)).toBe(POLLIN);
    expect(must(client.recv(2)).data.toString()).toBe('wh');
    expect(must(client.recv()).data.toString()).toBe('y');
    must(server.shutdown('write'));
    expect(client.poll(POLLIN, 1000)).toBe(POLLIN);
    expect(must(client.recv()).data).toHaveLength(0);
    client.close();
    server.close();
  });
});

it('names the peer on accept, or does not ask for it', () => {
  using listener = listen('127.0.0.1');
  const at = must(listener.getsockname());
  for (const name of [true, false]) {
    using client = Socket.open();
    client.connect(at.address, at.port);
    const accepted = must(listener.accept({ name }));
    expect(accepted.peer).toEqual(name ? must(client.getsockname()) : null);
    expect(must(accepted.socket.getpeername())).toEqual(must(client.getsockname()));
    accepted.socket.close();
  }
});

it('tells a reset', () => {
  using listener = listen('127.0.0.1');
  const [client, server] = connect(listener);
  must(server.setsockopt(SOL_SOCKET, SO_LINGER, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0])));
  expect(must(server.getsockopt(SOL_SOCKET, SO_LINGER)).data).toHaveLength(8);
  server.close();
  client.poll(POLLIN, 1000);
  expect(client.recv()).toEqual({ error: 'ECONNRESET' });
  expect(client.send(Buffer.from('x'))).toEqual({ error: 'EPIPE' });
  client.close();
});

it('is EBADF once closed', () => {
  const socket = Socket.open();
  must(socket.close());
  expect(socket.fd).toBe(-1);
  expect(socket.close()).toEqual({ error: 'EBADF' });
  expect(socket.getsockname()).toEqual({ error: 'EBADF' });
});

it('polls many, and never longer than it says', () => {
  using listener = listen('127.0.0.1');
  using idle = listen('127.0.0.1');
  const { address, port } = must(listener.getsockname());
  using client = Socket.open();
  client.connect(address, port);
  const wishes = [listener, idle].map((socket) => ({ socket, events: POLLIN }));
  expect(poll(wishes, 1000)).toEqual([POLLIN, 0]);
  const start = performance.now();
  expect(idle.poll(POLLIN, 30)).toBe(0);
  expect(performance.now() - start).toBeGreaterThanOrEqual(29);
  expect(() => poll([], 10_001)).toThrow(/10000 ms at most/);
});

it('throws what no system call could mean', () => {
  using socket = Socket.open();
  expect(() => socket.bind('localhost', 1)).toThrow(/not an IP address/);
});

describe.skipIf(!root)('in a network namespace (needs root)', () => {
  const name = `tcpwhy-test-${process.pid}`;
  const netns = `/run/netns/${name}`;
  const ours = () => readlinkSync('/proc/thread-self/ns/net');
  const before = ours();

  beforeAll(() => {
    execFileSync('ip', ['netns', 'add', name]);
    execFileSync('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
  });
  afterAll(() => void execFileSync('ip', ['netns', 'del', name]));

  it('connects inside, unseen from outside', () => {
    using listener = listen('127.0.0.1', { netns });
    const { address, port } = must(listener.getsockname());
    const [client, server] = connect(listener, { netns });
    client.close();
    server.close();
    using outsider = Socket.open();
    outsider.connect(address, port);
    outsider.poll(POLLOUT, 1000);
    expect(outsider.recv()).toEqual({ error: 'ECONNREFUSED' });
    expect(ours()).toBe(before);
  });

  it('stays where it is when entering or opening fails', () => {
    const failing: [SocketOptions, string][] = [
      [{ netns: '/nowhere' }, 'ENOENT'],
      [{ netns: import.meta.filename }, 'EINVAL'],
      [{ netns, protocol: 9999 }, 'EINVAL'],
    ];
    for (const [options, code] of failing) {
      expect(() => Socket.open(options)).toThrow(expect.objectContaining({ code }));
      expect(ours()).toBe(before);
    }
  });

  it('sends frames', () => {
    using frames = Socket.open({ netns, type: 'packet', protocol: 0x88b5 });
    const frame = Buffer.alloc(60);
    frame.writeUInt16BE(0x88b5, 12);
    frame.write('why', 14);
    expect(frames.sendPacket('lo', frame)).toEqual({ error: null, bytes: 60 });
    frames.poll(POLLIN, 1000);
    expect(must(frames.recv()).data).toEqual(frame);
    expect(frames.sendPacket('nowhere', frame)).toEqual({ error: 'ENODEV' });
    expect(() => frames.sendPacket('lo', Buffer.alloc(13))).toThrow(/Ethernet header/);
  });
});
