// SPDX-License-Identifier: Apache-2.0

import { readFileSync, writeFileSync } from 'node:fs';
import { must, POLLIN, type Socket } from '../../native/sockets.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import {
  awaitAll,
  awaitQueued,
  connect,
  dial,
  growth,
  hangUp,
  knock,
  listen,
  shareFrom,
} from '../connections.ts';
import type { Lab } from '../lab.ts';
import { bracketed, rules } from '../nat.ts';
import type { Netns } from '../netns.ts';
import { BOTH, type Made, type Options, type Scenario } from '../scenario.ts';
import { Stranger, SYN_ACK } from '../stranger.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 443;
const OTHER_PORT = 15_001;
const MAX = '/proc/sys/net/netfilter/nf_conntrack_max';
/** No other namespace of a machine that makes failures has as many for a moment. */
const ENTRIES = 100;

/** Counters of connection tracking, summed over all CPUs. */
function tracked(netns: Netns, name: string): number {
  const text = netns.exec('cat', ['/proc/net/stat/nf_conntrack']);
  const [names = [], ...cpus] = text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  const at = names.indexOf(name);
  return cpus.reduce((sum, cpu) => sum + Number.parseInt(cpu[at] ?? '0', 16), 0);
}

/** SYNs from as many ports, each sent once, until connection tracking has dropped them. */
function knockUntilDropped(lab: Lab, from: Netns, options: Options, counter: string): Made {
  const { times, family } = options;
  const server = { address: HOSTS[family].server, port: PORT };
  const where = counter === 'drop' ? lab.server : lab.client;
  const before = tracked(where, counter);
  const clients = knock(lab, server, times, from);
  until('the SYNs to be dropped', () => tracked(where, counter) - before >= times);
  return { server, clients, netns: where.inode };
}

function full(lab: Lab, options: Options): Made {
  const pairs = connect(lab, { times: ENTRIES, family: options.family }, PORT);
  using _listener = listen(lab, options.family, PORT, options.times);
  const before = readFileSync(MAX, 'utf8');
  try {
    writeFileSync(MAX, lab.server.exec('sysctl', ['-n', 'net.netfilter.nf_conntrack_count']));
    return knockUntilDropped(lab, lab.client, options, 'drop');
  } finally {
    writeFileSync(MAX, before);
    hangUp(pairs);
  }
}

function exhausted(lab: Lab, options: Options): Made {
  const { family } = options;
  const server = { address: HOSTS[family].server, port: PORT };
  using listener = listen(lab, family, PORT, 8);
  const holders = dial(lab, lab.client, server, 2);
  awaitQueued(listener, holders.length);
  const made = knockUntilDropped(lab, lab.client, options, 'insert_failed');
  for (const socket of holders) socket.close();
  for (const _ of holders) hearOut(must(listener.accept({ name: false }), 'accept').socket);
  return made;
}

/** Its other end has closed; nobody knows which that is, since its port is translated. */
function hearOut(socket: Socket): void {
  awaitAll([socket], POLLIN, 'the end of a connection');
  must(socket.recv(), 'recv');
  socket.close();
}

/** Segments in the middle of connections that nobody here has. */
function strays(lab: Lab, { times, family }: Options, netns = lab.server): Made {
  using stranger = new Stranger(lab, family);
  const ports = lab.ports(times);
  for (const sport of ports)
    stranger.send({ sport, dport: PORT, flags: TCP_FLAG.ack, seq: 1, ack: 1, window: 100 });
  return {
    server: { address: HOSTS[family].server, port: PORT },
    clients: ports.map((port) => ({ address: stranger.address, port })),
    netns: netns.inode,
  };
}

/** What a service goes on to send to a host that translated for others, and has forgotten that it did. */
function pushed(lab: Lab, { times, family }: Options): Made {
  using stranger = new Stranger(lab, family);
  const { address } = stranger;
  const ports = lab.ports(times);
  for (const dport of ports)
    stranger.send({ sport: PORT, dport, flags: TCP_FLAG.ack, seq: 1, ack: 1, window: 100 });
  return {
    server: { address, port: PORT },
    clients: ports.map((port) => ({ address: HOSTS[family].server, port })),
    netns: lab.server.inode,
  };
}

/** What continues each connection comes from another end than it was dialled at. */
function notTranslated(lab: Lab, { times, family }: Options): Made {
  using stranger = new Stranger(lab, family);
  const { server: address, nowhere } = HOSTS[family];
  const vip = { address: nowhere, port: PORT };
  const clients = lab.ports(times).map((port) => ({ address, port }));
  const sockets = clients.map((client) => shareFrom(lab, lab.server, client, vip));
  for (const syn of stranger.receive(TCP_FLAG.syn, times)) stranger.reply(syn, SYN_ACK, { seq: 1 });
  const lasts = stranger.receive(TCP_FLAG.ack, times);
  for (const last of lasts)
    stranger.reply(last, TCP_FLAG.ack, { sport: OTHER_PORT, seq: last.ack + 50_000_000 });
  stranger.receive(TCP_FLAG.rst, times);
  for (const last of lasts) stranger.reply(last, TCP_FLAG.rst | TCP_FLAG.ack);
  for (const socket of sockets) socket.close();
  return { server: { address: nowhere, port: OTHER_PORT }, clients, netns: lab.server.inode };
}

const track = 'ct state new accept;';

export const conntrackFull: Scenario = {
  id: 'conntrack-full',
  cause: 'conntrack-full',
  title: 'connects to a host whose connection table is full',
  families: BOTH,
  ownerless: true,
  commands: ['nft'],
  says: ({ family }) => ({
    sources: [{ end: HOSTS[family].client }],
    services: [{ end: bracketed(family, HOSTS[family].server, PORT) }],
  }),
  prepare: (lab, { family }) =>
    rules(lab.server, family, `chain input { type filter hook input priority 0; ${track} }`),
  run: full,
};

export const natPortsExhausted: Scenario = {
  id: 'nat-ports-exhausted',
  cause: 'nat-ports-exhausted',
  title: 'connects whose source is translated to one of two ports, both in use',
  families: BOTH,
  ownerless: true,
  commands: ['nft'],
  prepare(lab, { family }) {
    const { client } = HOSTS[family];
    const to = `snat to ${family === 4 ? client : `[${client}]`}:50000-50001`;
    rules(
      lab.client,
      family,
      `chain output { type nat hook postrouting priority 100; tcp dport ${PORT} ${to}; }`,
    );
  },
  run: exhausted,
};

export const conntrackInvalid: Scenario[] = [
  {
    id: 'conntrack-invalid',
    cause: 'conntrack-invalid',
    title: 'a rule drops what connection tracking takes for no part of a connection',
    families: BOTH,
    ownerless: true,
    commands: ['nft'],
    says: () => ({ kind: 'dropped' }),
    prepare(lab, { family }) {
      const drop = 'ct state invalid counter drop;';
      rules(lab.server, family, `chain input { type filter hook input priority 0; ${drop} }`);
      lab.server.sysctl({ 'net.netfilter.nf_conntrack_tcp_loose': 0 });
    },
    run(lab, options) {
      const invalid = () => tracked(lab.server, 'invalid');
      const before = invalid();
      const made = strays(lab, options);
      until('the segments to be dropped', () => invalid() - before >= options.times);
      return made;
    },
  },
  {
    id: 'conntrack-invalid/forgotten',
    cause: 'conntrack-invalid',
    title: 'segments of connections that connection tracking of the host has forgotten',
    families: BOTH,
    ownerless: true,
    commands: ['nft'],
    says: () => ({ kind: 'forgotten', idle_timeout_s: 432_000 }),
    prepare(lab, { family }) {
      rules(lab.server, family, `chain input { type filter hook input priority 0; ${track} }`);
      lab.server.sysctl({ 'net.netfilter.nf_conntrack_tcp_loose': 0 });
    },
    run(lab, options) {
      const resets = growth(lab.server, 'Tcp', 'OutRsts');
      const made = strays(lab, options);
      until('the segments to be reset', () => resets() >= options.times);
      return made;
    },
  },
  {
    id: 'conntrack-invalid/taken-up',
    cause: 'conntrack-invalid',
    title: 'segments to a host that translates for others, and begins anew with them',
    families: BOTH,
    ownerless: true,
    commands: ['nft'],
    says: () => ({ kind: 'forgotten' }),
    prepare: (lab, { family }) =>
      rules(
        lab.server,
        family,
        'chain there { type nat hook prerouting priority -100; tcp dport 1 redirect to :2; }',
      ),
    run(lab, options) {
      const resets = growth(lab.server, 'Tcp', 'OutRsts');
      const made = pushed(lab, options);
      until('the segments to be reset', () => resets() >= options.times);
      return made;
    },
  },
  {
    id: 'conntrack-invalid/not-translated',
    cause: 'conntrack-invalid',
    title: 'segments of a balanced connection come from the end behind the balancer',
    families: BOTH,
    says: () => ({ kind: 'not translated' }),
    run: notTranslated,
  },
];
