// SPDX-License-Identifier: Apache-2.0
// Sockets for tests and the lab: every call is one system call, made now, in any network namespace.

import { constants } from 'node:os';
import { loadAddon } from './binding.ts';

/** The name of an errno: `ECONNREFUSED`. */
export type Errno = string;

/** A call's outcome. Refusals are ordinary here, so they are returned and not thrown. */
export type Result<T = object> = ({ error: null } & T) | { error: Errno };

export interface Address {
  address: string;
  port: number;
}

export interface SocketOptions {
  /** Path of a network namespace, `/run/netns/x` or `/proc/PID/ns/net`; ours if not given. */
  netns?: string;
  family?: 4 | 6;
  type?: 'stream' | 'packet';
  /** IP protocol, or the EtherType of a packet socket. */
  protocol?: number;
}

export const POLLIN = 0x1;
export const POLLOUT = 0x4;
export const POLLERR = 0x8;
export const POLLHUP = 0x10;
export const POLLRDHUP = 0x2000;

interface Outcome {
  errno: number;
  value: number;
  address?: string;
  port?: number;
  data?: Buffer;
}

interface FrameOutcome {
  errno: number;
  data?: Buffer;
  outgoing: boolean;
  timeUs: number;
}

/** An Ethernet frame and how it passed a packet socket. */
export interface Frame {
  data: Buffer;
  /** Sent by this namespace, not received. */
  outgoing: boolean;
  /** Wall clock of the kernel; 0 without SO_TIMESTAMPNS. */
  time_us: number;
}

interface Addon {
  socketOpen(netns: string | undefined, family: number, kind: string, protocol: number): Outcome;
  socketBind(fd: number, address: string, port: number): Outcome;
  socketListen(fd: number, backlog: number): Outcome;
  socketConnect(fd: number, address: string, port: number): Outcome;
  socketDisconnect(fd: number): Outcome;
  socketHold(fd: number): Outcome;
  socketAccept(fd: number, name: boolean): Outcome;
  socketPeer(fd: number): Outcome;
  socketLocal(fd: number): Outcome;
  socketSend(fd: number, data: Uint8Array): Outcome;
  socketSendPacket(fd: number, interfaceName: string, frame: Uint8Array): Outcome;
  socketReceive(fd: number, max: number): Outcome;
  socketReceiveFrame(fd: number, max: number): FrameOutcome;
  socketSetOption(fd: number, level: number, name: number, value: Uint8Array): Outcome;
  socketGetOption(fd: number, level: number, name: number, max: number): Outcome;
  socketShutdown(fd: number, how: string): Outcome;
  socketClose(fd: number): Outcome;
  socketPoll(wishes: { fd: number; events: number }[], timeoutMs: number): number[];
}

/** Of a frame its headers are looked at. */
const FRAME_BYTES = 256;

const native = () => loadAddon<Addon>();

// Reversed, for of two names of one number the first is the usual one: EAGAIN, not EWOULDBLOCK.
const names = new Map(
  Object.entries(constants.errno)
    .map(([name, errno]) => [errno, name] as const)
    .reverse(),
);

function result<T = object>(outcome: Outcome, give: (outcome: Outcome) => T): Result<T> {
  if (outcome.errno !== 0) return { error: names.get(outcome.errno) ?? `E${outcome.errno}` };
  return { error: null, ...give(outcome) };
}

const nothing = () => ({});
const bytes = ({ value }: Outcome) => ({ bytes: value });
const data = ({ data }: Outcome) => ({ data: data ?? Buffer.alloc(0) });
const address = ({ address = '', port = 0 }: Outcome): Address => ({ address, port });

/** What a call gave; throws, with the errno's name as `code`, if it failed. */
export function must<T>(result: Result<T>, call = 'socket call'): T {
  const { error: code, ...given } = result;
  if (code === null) return given as T;
  throw Object.assign(new Error(`${call} failed: ${code}`), { code });
}

/** A descriptor that never blocks. After `close` every call gives EBADF. */
export class Socket {
  #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Opens a socket, TCP over IPv4 in our own namespace unless told otherwise; throws if it cannot. */
  static open(options: SocketOptions = {}): Socket {
    const { netns, family = 4, type = 'stream', protocol = 0 } = options;
    const open = native().socketOpen(netns, family, type, protocol);
    return new Socket(
      must(
        result(open, ({ value }) => ({ fd: value })),
        'socket',
      ).fd,
    );
  }

  /** -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  bind(address: string, port: number): Result {
    return result(native().socketBind(this.#fd, address, port), nothing);
  }

  listen(backlog: number): Result {
    return result(native().socketListen(this.#fd, backlog), nothing);
  }

  /** Begins to connect: EINPROGRESS unless the answer is known at once. */
  connect(address: string, port: number): Result {
    return result(native().socketConnect(this.#fd, address, port), nothing);
  }

  /** Takes it away from its connection: connect() with AF_UNSPEC. */
  disconnect(): Result {
    return result(native().socketDisconnect(this.#fd), nothing);
  }

  /** The kernel holds it for a call that receives one byte, until what is returned is closed. */
  hold(): Result<{ holder: Socket }> {
    return result(native().socketHold(this.#fd), ({ value }) => ({ holder: new Socket(value) }));
  }

  /**
   * Takes a connection. With `name: false` the kernel is asked for no peer address, which then is
   * null: it does not call the socket's getname.
   */
  accept({ name = true } = {}): Result<{ socket: Socket; peer: Address | null }> {
    return result(native().socketAccept(this.#fd, name), (outcome) => ({
      socket: new Socket(outcome.value),
      peer: outcome.address === undefined ? null : address(outcome),
    }));
  }

  getpeername(): Result<Address> {
    return result(native().socketPeer(this.#fd), address);
  }

  getsockname(): Result<Address> {
    return result(native().socketLocal(this.#fd), address);
  }

  /** Sends what there is room for, and never raises SIGPIPE. */
  send(data: Uint8Array): Result<{ bytes: number }> {
    return result(native().socketSend(this.#fd, data), bytes);
  }

  /** Sends an Ethernet frame, header included, out of an interface. For packet sockets. */
  sendPacket(interfaceName: string, frame: Uint8Array): Result<{ bytes: number }> {
    return result(native().socketSendPacket(this.#fd, interfaceName, frame), bytes);
  }

  /** Receives at most `max` bytes: none at the end of the stream, EAGAIN if nothing is there yet. */
  recv(max = 65536): Result<{ data: Buffer }> {
    return result(native().socketReceive(this.#fd, max), data);
  }

  /** The next frame of a packet socket, or null if none is there. */
  receiveFrame(): Frame | null {
    const { errno, data, outgoing, timeUs } = native().socketReceiveFrame(this.#fd, FRAME_BYTES);
    return errno === 0 && data ? { data, outgoing, time_us: timeUs } : null;
  }

  /** A number is an int. */
  setsockopt(level: number, name: number, value: Uint8Array | number): Result {
    const bytes = typeof value === 'number' ? int(value) : value;
    return result(native().socketSetOption(this.#fd, level, name, bytes), nothing);
  }

  getsockopt(level: number, name: number, max = 256): Result<{ data: Buffer }> {
    return result(native().socketGetOption(this.#fd, level, name, max), data);
  }

  shutdown(how: 'read' | 'write' | 'both'): Result {
    return result(native().socketShutdown(this.#fd, how), nothing);
  }

  /** The events among `events` that are there within the time; 0 if none. Blocks the thread. */
  poll(events: number, timeoutMs: number): number {
    return poll([{ socket: this, events }], timeoutMs)[0] ?? 0;
  }

  close(): Result {
    const fd = this.#fd;
    this.#fd = -1;
    return result(native().socketClose(fd), nothing);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Blocks the thread until a socket has one of its events or `timeoutMs`, at most 10 000, are over.
 * Returns each socket's events; POLLERR and POLLHUP come unasked.
 */
export function poll(wishes: { socket: Socket; events: number }[], timeoutMs: number): number[] {
  const fds = wishes.map(({ socket, events }) => ({ fd: socket.fd, events }));
  return native().socketPoll(fds, timeoutMs);
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  new DataView(bytes.buffer, bytes.byteOffset).setInt32(0, value, littleEndian);
  return bytes;
}

const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
