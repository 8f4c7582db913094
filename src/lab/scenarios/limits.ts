// SPDX-License-Identifier: Apache-2.0

import { readFileSync, writeFileSync } from 'node:fs';
import { must, POLLIN, POLLOUT, type Socket } from '../../native/sockets.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { meet, part } from '../acquaintance.ts';
import { awaitAll, awaitReset, connect, dial, growth, localOf, type Pair } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { FIN_ACK, PSH_ACK, RST_ACK } from '../stranger.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 8090;
const OTHER_PORT = 8091;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SOME = Buffer.alloc(1400, 'x');
const MUCH = Buffer.alloc(65_536, 'x');
/** Two of them are more than each CPU may hold of pages without telling the others, 1 MiB. */
const ROOM_BYTES = 4 << 20;
const HOLDERS = 2;
const READ_MS = 8000;
/** After what is taken there is room again. */
const ROOM_MS = 100;
/** More than two CPUs may count without telling the others. */
const ORPHANS = 80;
/** They are counted ten times a second. */
const COUNTED_MS = 300;

/** A limit of the whole host is another for as long as the work takes, some milliseconds. */
function limited<Result>(setting: string, value: string, work: () => Result): Result {
  const path = `/proc/sys/net/${setting}`;
  const before = readFileSync(path, 'utf8');
  try {
    writeFileSync(path, value);
    return work();
  } finally {
    writeFileSync(path, before);
  }
}

/** What TCP of the whole host has, in pages. */
function pages(): number {
  return Number(readFileSync('/proc/net/sockstat', 'utf8').match(/^TCP:.* mem (\d+)/m)?.[1]);
}

/** Gives them more to send than anybody takes. */
function fill(sockets: Socket[]): void {
  for (const socket of sockets) {
    while (socket.poll(POLLOUT, ROOM_MS) & POLLOUT) must(socket.send(MUCH), 'send');
  }
}

/** The same with so much that it is most of what TCP has. */
function fillWithMuch(sockets: Socket[]): void {
  for (const socket of sockets)
    must(socket.setsockopt(SOL_SOCKET, SO_SNDBUFFORCE, ROOM_BYTES), 'setsockopt');
  fill(sockets);
  if (pages() < 2) throw new Error('TCP has no memory');
}

/** Ends connections in the ordinary way: the clients read all that there is. */
function readOut(pairs: Pair[]): void {
  for (const { client, server } of pairs) {
    server.close();
    do awaitAll([client], POLLIN, 'more to read', READ_MS);
    while (must(client.recv(), 'recv').data.length > 0);
    client.close();
  }
}

const NO_MEMORY = ['ipv4/tcp_mem', '1 1 1'] as const;

const orphanLimit: ScenarioEntry = {
  id: 'orphan-limit',
  title: 'a server closes connections with much to send, when as many as may be were closed before',
  of_host: true,
  says: () => ({ at: 'close()' }),
  // In FIN_WAIT2 they have nothing to send again, which the limit would end too: longer than a minute they are orphans.
  prepare: (lab) => lab.server.sysctl({ 'net.ipv4.tcp_fin_timeout': 120 }),
  run(lab, options) {
    const pairs = connect(lab, options, PORT);
    const clients = pairs.map(({ client }) => localOf(client));
    using met = meet(lab, { ...options, times: ORPHANS }, OTHER_PORT);
    for (const socket of met.sockets) socket.close();
    const fins = met.stranger.receive(FIN_ACK, ORPHANS);
    for (const fin of fins) met.stranger.reply(fin, TCP_FLAG.ack);
    fill(pairs.map(({ server }) => server));
    pairs[0]?.client.poll(0, COUNTED_MS);
    limited('ipv4/tcp_max_orphans', '1', () => {
      for (const { server } of pairs) server.close();
    });
    awaitReset(
      pairs.map(({ client }) => client),
      'ECONNRESET',
    );
    for (const fin of fins) met.stranger.reply(fin, FIN_ACK);
    met.stranger.receive(TCP_FLAG.ack, ORPHANS);
    const server = { address: HOSTS[options.family].server, port: PORT };
    return { server, clients, netns: lab.server.inode, where: endpoint(server.address, PORT) };
  },
};

const tcpMemory: ScenarioEntry[] = [
  {
    id: 'tcp-memory',
    title: 'a server closes connections with much to send, when TCP has more memory than it may',
    of_host: true,
    says: () => ({ at: 'close()', tcp_mem_max: 1 }),
    run(lab, options) {
      using met = meet(lab, options, PORT);
      fillWithMuch(met.sockets);
      limited(...NO_MEMORY, () => {
        for (const socket of met.sockets) socket.close();
      });
      met.stranger.receive(RST_ACK, options.times);
      return met.made;
    },
  },
  {
    id: 'tcp-memory/arrival',
    title: 'data that comes when TCP has more memory than it may, and some is unread',
    of_host: true,
    drop_reason: 'PROTO_MEM',
    says: () => ({ at: 'arrival', payload_bytes: SOME.length }),
    run(lab, options) {
      using met = meet(lab, options, PORT);
      const { stranger, sockets, synAcks } = met;
      const holders = connect(lab, { ...options, times: HOLDERS }, OTHER_PORT);
      fillWithMuch(holders.map(({ server }) => server));
      // What comes first always has room.
      for (const synAck of synAcks) stranger.reply(synAck, PSH_ACK, { payload: SOME });
      awaitAll(sockets, POLLIN, 'what comes first');
      const dropped = growth(lab.server, 'TcpExt', 'TCPRcvQDrop');
      limited(...NO_MEMORY, () => {
        synAcks.forEach((synAck, at) => {
          let seq = synAck.ack;
          until('a segment to find no room', () => {
            seq += SOME.length;
            stranger.reply(synAck, PSH_ACK, { seq, payload: SOME });
            return dropped() > at;
          });
        });
      });
      for (const socket of sockets) must(socket.recv(), 'recv');
      part(met);
      readOut(holders);
      return met.made;
    },
  },
];

/** Those that fill the table, and one of the lab's own segment that has no entry. */
const SEGMENT = {
  4: {
    at: (number: number) => `10.5.${(number + 1) >> 8}.${(number + 1) & 255}`,
    absent: '10.4.26.99',
  },
  6: { at: (number: number) => `2001:db8:26::${100 + number}`, absent: '2001:db8:26::99' },
} as const;
/** More than there are old ones on the whole machine, in labs that stay too: each is taken away for a new one. */
const ENTRIES = 3000;

function haveRoom(lab: Lab, entries: string[]): boolean {
  try {
    lab.server.ip(...entries);
    return true;
  } catch {
    return false;
  }
}

const neighbourTableFull: ScenarioEntry = {
  id: 'neighbour-table-full',
  title: 'connects to a host that is not in the neighbour table, when that is full',
  of_host: true,
  ownerless: true,
  says: ({ family }) => ({ next_hop: SEGMENT[family].absent, device: 's0', flags: 'S' }),
  run(lab, { times, family }) {
    const { at, absent } = SEGMENT[family];
    const server = { address: absent, port: PORT };
    const entries = Array.from(
      { length: ENTRIES },
      (_, number) => `neigh add ${at(number)} lladdr 02:00:00:00:00:01 dev s0 nud reachable`,
    );
    return limited(`ipv${family}/neigh/default/gc_thresh3`, '1', () => {
      if (haveRoom(lab, entries)) throw new Error('there is room for all entries');
      const sockets = dial(lab, lab.server, server, times);
      const clients = sockets.map(localOf);
      for (const socket of sockets) socket.close();
      return { server, clients, netns: lab.server.inode, where: absentTable(family) };
    });
  },
};

const absentTable = (family: 4 | 6) => (family === 4 ? 'arp_cache' : 'ndisc_cache');

export default [orphanLimit, ...tcpMemory, neighbourTableFull] satisfies ScenarioEntry[];
