// SPDX-License-Identifier: Apache-2.0

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { must, POLLIN, POLLOUT, POLLRDHUP, type Socket } from '../../native/sockets.ts';
import type { Family } from '../../tcp/address.ts';
import {
  accept,
  awaitAll,
  awaitQueued,
  awaitReset,
  connect,
  dial,
  growth,
  hangUp,
  IPPROTO_MPTCP,
  knock,
  type ListenOptions,
  lingerZero,
  listen,
  localOf,
  say,
} from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry, Wanted } from '../scenario.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';
import { WORKERS, Workers } from '../workers.ts';

const PORT = 8081;
const ANY = { 4: '0.0.0.0', 6: '::' } as const;

const serverAt = (family: Family) => ({ address: HOSTS[family].server, port: PORT });

/** Refused by a listener with others beside it that have room. */
function refuse(
  lab: Lab,
  { times, family }: Options,
  stuck: { backlog: number } & ListenOptions,
  others: (() => Socket)[] = [],
): Made {
  const server = serverAt(family);
  const refused = growth(lab.server, 'TcpExt', 'ListenOverflows');
  const { backlog, ...options } = stuck;
  const beside = others.map((listenBeside) => listenBeside());
  using listener = listen(lab, family, PORT, backlog, options);
  const waiting = dial(lab, lab.client, server, backlog + 1, options.protocol);
  awaitQueued(listener, waiting.length);
  const clients = knock(lab, server, times);
  until('the SYNs to be refused', () => refused() >= times);
  hangUp(accept(listener, waiting));
  for (const other of beside) other.close();
  return { server, clients, netns: lab.server.inode };
}

/** Refused where a listener for any address has the port, but is not for these clients. */
function refuseBeside(
  lab: Lab,
  { times, family }: Options,
  of: Family,
  options: ListenOptions,
): Made {
  const server = serverAt(family);
  using _ = listen(lab, of, PORT, times, { address: ANY[of], ...options });
  const sockets = dial(lab, lab.client, server, times);
  const clients = sockets.map(localOf);
  awaitReset(sockets, 'ECONNREFUSED');
  return { server, clients, netns: lab.server.inode };
}

function stuckWorker(lab: Lab, { times, family }: Options, prepare?: (workers: Workers) => void) {
  const workers = new Workers(lab, serverAt(family), 1);
  prepare?.(workers);
  const clients = workers.dialUntil(`${times} to be refused`, (refused) => refused === times);
  hangUp(accept(workers.stuck, workers.waiting));
  workers.close();
  return { server: serverAt(family), clients, netns: lab.server.inode };
}

/** Hands sockets to a process that does nothing, which then has them open too. */
export function handTo(lab: Lab, sockets: Socket[]): ReturnType<typeof spawn> {
  const child = spawn('sleep', ['3600'], {
    stdio: ['ignore', 'ignore', 'ignore', ...sockets.map(({ fd }) => fd)],
  });
  lab.defer(() => {
    child.kill('SIGKILL');
    // What it has open ends here, and not in the next lab, whose namespaces may have the same numbers.
    until('the process to have ended', () => hasEnded(child.pid));
  });
  return child;
}

/** Whether it has nothing open any more: gone, or only waited for. */
function hasEnded(pid = 0): boolean {
  try {
    return /^State:\s*[ZX]/m.test(statusOf(pid));
  } catch {
    return true;
  }
}

/** Refused by a listener whose process had left it to another, which does not accept. */
function refuseInherited(lab: Lab, { times, family }: Options, isStopped: boolean): Made {
  const server = serverAt(family);
  const refused = growth(lab.server, 'TcpExt', 'ListenOverflows');
  const listener = listen(lab, family, PORT, 1);
  const child = handTo(lab, [listener]);
  until('the process to be there', () => readComm(child.pid) === 'sleep');
  if (isStopped) child.kill('SIGSTOP');
  else {
    until('the process to sleep', () => {
      sleeps_in = readFileSync(`/proc/${child.pid}/wchan`, 'utf8');
      // While it starts it may sleep elsewhere, as until a file system has answered.
      return /^State:\s*S/m.test(statusOf(child.pid)) && /^0$|nanosleep/.test(sleeps_in);
    });
  }
  listener.close();
  const waiting = dial(lab, lab.client, server, 2);
  awaitAll(waiting, POLLOUT, 'the connect');
  const clients = knock(lab, server, times);
  until('the SYNs to be refused', () => refused() >= times);
  // It ends with the lab: what it has open is asked for at the next tick.
  for (const client of waiting) client.close();
  return { server, clients, netns: lab.server.inode };
}

function statusOf(pid = 0): string {
  return readFileSync(`/proc/${pid}/status`, 'utf8');
}

function readComm(pid = 0): string {
  return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
}

/** The kernel's function in which the process sleeps, whose name depends on its version; 0 before 5.16, which cannot tell. */
let sleeps_in = '';

const one = (family: Family, address: string, device = '') =>
  family === 6 ? `[${address}]${device}:${PORT}` : `${address}${device}:${PORT}`;

const listeners: ScenarioEntry[] = [
  {
    id: 'accept-queue-full/stopped',
    title: 'a stopped process has a listener that another one has left to it',
    process: 'sleep',
    says: () => ({ halted: 'stopped', halted_process: /^sleep/, inherited_from: /./ }),
    resets_at_end: true,
    run: (lab, options) => refuseInherited(lab, options, true),
  },
  {
    id: 'accept-queue-full/waiting',
    title: 'a process that waits for something else has a listener that another one has left to it',
    process: 'sleep',
    says: (): Wanted => (sleeps_in === '0' ? {} : { waits_in: sleeps_in, waits_process: /^sleep/ }),
    resets_at_end: true,
    run: (lab, options) => refuseInherited(lab, options, false),
  },
  {
    id: 'accept-queue-full/one-of-four',
    title: 'one of four listeners that share a port (SO_REUSEPORT) does not accept',
    says: () => ({
      listeners: WORKERS,
      listener_known: true,
      accept_queue: 2,
      accept_queue_max: 1,
    }),
    run: (lab, options) => stuckWorker(lab, options),
  },
  {
    id: 'accept-queue-full/one-of-four/one-gone',
    title: 'the same after another of them was closed',
    says: () => ({
      listeners: WORKERS - 1,
      listener_known: true,
      accept_queue: 2,
      accept_queue_max: 1,
    }),
    run: (lab, options) => stuckWorker(lab, options, (workers) => workers.closeNewest()),
  },
  {
    id: 'listener-closed/one-of-four',
    title: 'one of four listeners that share a port is closed with connections in its queue',
    run(lab, { times, family }) {
      const workers = new Workers(lab, serverAt(family), times);
      workers.dialUntil(`${times} to wait`, () => workers.waiting.length === times);
      const clients = workers.waiting.map(localOf);
      workers.stuck.close();
      awaitReset(workers.waiting, 'ECONNRESET');
      workers.close();
      return { server: serverAt(family), clients, netns: lab.server.inode };
    },
  },
  {
    id: 'accept-queue-full/both-families',
    title: 'a listener for any address of one family is full, that of the other has room',
    says: ({ family }) => ({
      listens_on: one(family, ANY[family]),
      accept_queue: 2,
      accept_queue_max: 1,
    }),
    run(lab, options) {
      const { family } = options;
      const other = family === 4 ? 6 : 4;
      const anyOf = (of: Family) => ({ address: ANY[of], v6only: of === 6 });
      return refuse(lab, options, { backlog: 1, ...anyOf(family) }, [
        () => listen(lab, other, PORT, 511, anyOf(other)),
      ]);
    },
  },
  {
    id: 'accept-queue-full/device',
    title: 'a listener that is bound to a device is full, that of another device has room',
    says: ({ family }) => ({
      listens_on: one(family, ANY[family], '%s0'),
      accept_queue: 2,
      accept_queue_max: 1,
    }),
    run(lab, options) {
      const address = ANY[options.family];
      return refuse(lab, options, { backlog: 1, address, device: 's0' }, [
        () => listen(lab, options.family, PORT, 511, { address, device: 'lo' }),
      ]);
    },
  },
  {
    id: 'accept-queue-full/prefork',
    title: 'a listener is open in several processes, and none accepts',
    run(lab, { times, family }) {
      const server = serverAt(family);
      const refused = growth(lab.server, 'TcpExt', 'ListenOverflows');
      // Open as long as the lab: whoever has it is looked for when it has refused.
      const listener = listen(lab, family, PORT, 1);
      for (let i = 0; i < 2; i++) handTo(lab, [listener]);
      const waiting = dial(lab, lab.client, server, 2);
      awaitQueued(listener, waiting.length);
      const clients = knock(lab, server, times);
      until('the SYNs to be refused', () => refused() >= times);
      hangUp(accept(listener, waiting));
      return { server, clients, netns: lab.server.inode };
    },
    // By their numbers, which begin anew.
    says: () => ({
      held_by: new Set([new RegExp(`\\(${process.pid}\\)$`), /^sleep/, /^sleep/]),
    }),
  },
  {
    id: 'no-listener/device',
    title: 'clients come in by another device than the one that the listener is bound to',
    ownerless: true,
    says: ({ family }) => ({
      came_in_on: 's0',
      listeners_on_port: { 0: { address: one(family, ANY[family], '%lo'), not_for: 'device' } },
    }),
    run: (lab, options) => refuseBeside(lab, options, options.family, { device: 'lo' }),
  },
  {
    id: 'no-listener/family',
    title: 'a listener for any address, but of the other family',
    ownerless: true,
    says: () => ({ listeners_on_port: { 0: { not_for: 'family' } }, came_in_on: 's0' }),
    run(lab, options) {
      const other = options.family === 4 ? 6 : 4;
      return refuseBeside(lab, options, other, { v6only: other === 6 });
    },
  },
  {
    id: 'accept-queue-full/mptcp',
    title: 'a listener of MPTCP does not accept',
    needs: 'mptcp',
    says: () => ({ protocol: 'MPTCP', accept_queue: 2, accept_queue_max: 1 }),
    run: (lab, options) => refuse(lab, options, { backlog: 1, protocol: IPPROTO_MPTCP }),
  },
  {
    id: 'listener-closed/mptcp',
    title: 'a service of MPTCP stops while connections wait to be accepted',
    needs: 'mptcp',
    run(lab, { times, family }) {
      const server = serverAt(family);
      const listener = listen(lab, family, PORT, times, { protocol: IPPROTO_MPTCP });
      const sockets = dial(lab, lab.client, server, times, IPPROTO_MPTCP);
      const clients = sockets.map(localOf);
      awaitQueued(listener, times);
      listener.close();
      awaitReset(sockets, 'ECONNRESET');
      return { server, clients, netns: lab.server.inode };
    },
  },
  {
    id: 'linger-zero-close/mptcp',
    title: 'a server of MPTCP closes with SO_LINGER 0',
    needs: 'mptcp',
    says: () => ({ protocol: 'MPTCP' }),
    run(lab, options) {
      const pairs = connect(lab, options, PORT, IPPROTO_MPTCP);
      const clients = pairs.map(({ client }) => client);
      const addresses = clients.map(localOf);
      // What has not heard of the other end yet falls back to TCP.
      say(clients, 'read');
      const resets = growth(lab.server, 'Tcp', 'OutRsts');
      for (const { server } of pairs) {
        awaitAll([server], POLLIN, 'the request');
        must(server.recv(), 'recv');
        lingerZero(server);
        server.close();
      }
      // 6.16 to 6.18.15 close the MPTCP connection first, and reset what TCP had of it afterwards.
      for (const client of clients) client.close();
      until('the connections to be reset', () => resets() >= options.times);
      return { server: serverAt(options.family), clients: addresses, netns: lab.server.inode };
    },
  },
  {
    id: 'unread-data-on-close/mptcp',
    title: 'a server of MPTCP closes without having read the request',
    needs: 'mptcp',
    says: () => ({ protocol: 'MPTCP', unread_bytes: 6 }),
    run: (lab, options) => closeUnread(lab, options, { protocol: IPPROTO_MPTCP }),
  },
  {
    id: 'unread-data-on-close/after-fin',
    title: 'a server closes without having read, after the client has sent its FIN',
    says: () => ({ unread_bytes: 6, process_end: null }),
    run: (lab, options) => closeUnread(lab, options, { fin: true }),
  },
  {
    id: 'unread-data-on-close/killed',
    title: 'a process is killed before it has read',
    process: 'sleep',
    says: () => ({ unread_bytes: 6, process_end: 'SIGKILL' }),
    run: (lab, options) => closeUnread(lab, options, { killed: true }),
  },
];

function closeUnread(
  lab: Lab,
  options: Options,
  how: { protocol?: number; fin?: boolean; killed?: boolean },
): Made {
  const pairs = connect(lab, options, PORT, how.protocol);
  const clients = pairs.map(({ client }) => client);
  const servers = pairs.map(({ server }) => server);
  const addresses = clients.map(localOf);
  say(clients, 'unread');
  awaitAll(servers, POLLIN, 'the request');
  if (how.fin) {
    for (const client of clients) must(client.shutdown('write'), 'shutdown');
    until('the ends of the streams', () =>
      servers.every((server) => (server.poll(POLLRDHUP, 0) & POLLRDHUP) !== 0),
    );
  }
  const child = how.killed ? handTo(lab, servers) : null;
  for (const server of servers) server.close();
  child?.kill('SIGKILL');
  awaitReset(clients, 'ECONNRESET');
  return { server: serverAt(options.family), clients: addresses, netns: lab.server.inode };
}

export default [...listeners] satisfies ScenarioEntry[];
