// SPDX-License-Identifier: Apache-2.0

import { readFileSync, writeFileSync } from 'node:fs';
import { must, POLLIN, type Socket } from '../../native/sockets.ts';
import type { Family } from '../../tcp/address.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import {
  awaitAll,
  awaitQueued,
  awaitReset,
  awaitTimeout,
  connect,
  dial,
  growth,
  hangUp,
  knock,
  listen,
  localOf,
  shareFrom,
} from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Netns } from '../netns.ts';
import { BOTH, type Made, type Options, type Scenario } from '../scenario.ts';
import { Stranger, SYN_ACK } from '../stranger.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';
import { giveUpSoon } from './silence.ts';

const PORT = 443;
const OTHER_PORT = 15_001;
const MAX = '/proc/sys/net/netfilter/nf_conntrack_max';
/** No other namespace of a machine that makes failures has as many for a moment. */
const ENTRIES = 100;

const table = (family: Family) => (family === 4 ? 'ip' : 'ip6');
const bracketed = (family: Family, address: string, port: number) =>
  family === 4 ? `${address}:${port}` : `[${address}]:${port}`;

function rules(netns: Netns, family: Family, chains: string): void {
  netns.exec('nft', ['-f', '-'], `table ${table(family)} lab { ${chains}\n}`);
}

/** What leaves for this end goes to another. */
function redirect(netns: Netns, family: Family, match: string, verdict: string): void {
  rules(netns, family, `chain output { type nat hook output priority -100; ${match} ${verdict}; }`);
}

/** Has the client reach the service address by way of the server. */
function routeVip(lab: Lab, family: Family): void {
  const { vip, server } = HOSTS[family];
  lab.client.ip(`route add ${vip} via ${server}`);
}

function forward(netns: Netns): void {
  netns.sysctl({ 'net.ipv4.ip_forward': 1, 'net.ipv6.conf.all.forwarding': 1 });
}

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

export const redirected: Scenario[] = [
  {
    id: 'no-listener/redirected',
    cause: 'no-listener',
    title: 'connects that the client’s own NAT redirects to a port where nothing listens',
    families: BOTH,
    commands: ['nft'],
    says: ({ family }) => ({ dialled: bracketed(family, HOSTS[family].server, PORT) }),
    prepare: (lab, { family }) =>
      redirect(lab.client, family, `tcp dport ${PORT}`, `redirect to :${OTHER_PORT}`),
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].server, port: PORT };
      const sockets = dial(lab, lab.client, server, times);
      const clients = sockets.map(localOf);
      awaitReset(sockets, 'ECONNREFUSED');
      return { server, clients, netns: lab.client.inode };
    },
  },
  {
    id: 'connect-refused/redirected',
    cause: 'connect-refused',
    beside: ['no-listener'],
    title: 'connects that the client’s own NAT sends to a host that refuses them',
    families: BOTH,
    commands: ['nft'],
    says: ({ family }) => ({
      redirected_to: bracketed(family, HOSTS[family].server, OTHER_PORT),
    }),
    prepare(lab, { family }) {
      const { vip, server } = HOSTS[family];
      const ip = table(family);
      const to = bracketed(family, server, OTHER_PORT);
      redirect(lab.client, family, `${ip} daddr ${vip} tcp dport ${PORT}`, `dnat to ${to}`);
    },
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].vip, port: PORT };
      const sockets = dial(lab, lab.client, server, times);
      const clients = sockets.map(localOf);
      awaitReset(sockets, 'ECONNREFUSED');
      return { server, clients, netns: lab.client.inode };
    },
  },
  {
    id: 'connect-timeout/redirected',
    cause: 'connect-timeout',
    title: 'connects that the host’s own NAT sends to one that never answers',
    families: BOTH,
    commands: ['nft'],
    says: ({ family }) => ({
      redirected_to: bracketed(family, HOSTS[family].nowhere, OTHER_PORT),
    }),
    prepare(lab, { family }) {
      const { client, nowhere } = HOSTS[family];
      const ip = table(family);
      const to = bracketed(family, nowhere, OTHER_PORT);
      giveUpSoon(lab.server);
      redirect(lab.server, family, `${ip} daddr ${client} tcp dport ${PORT}`, `dnat to ${to}`);
    },
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].client, port: PORT };
      const sockets = dial(lab, lab.server, server, times);
      const clients = sockets.map(localOf);
      awaitTimeout(sockets);
      return { server, clients, netns: lab.server.inode };
    },
  },
];

export const conntrackFull: Scenario = {
  id: 'conntrack-full',
  cause: 'conntrack-full',
  title: 'connects to a host whose connection table is full',
  families: BOTH,
  ownerless: true,
  commands: ['nft'],
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

export const martianSource: Scenario[] = [
  {
    id: 'martian-source',
    cause: 'martian-source',
    title: 'a balancer sends a client’s SYN back to the client itself',
    families: [4],
    commands: ['nft'],
    says: () => ({ kind: 'own SYN' }),
    prepare(lab, { family }) {
      const { vip, client } = HOSTS[family];
      routeVip(lab, family);
      forward(lab.server);
      const dnat = `ip daddr ${vip} dnat to ${client};`;
      rules(lab.server, family, `chain pre { type nat hook prerouting priority -100; ${dnat} }`);
    },
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].vip, port: PORT };
      const came = growth(lab.server, 'Ip', 'ForwDatagrams');
      const sockets = dial(lab, lab.client, server, times);
      const clients = sockets.map(localOf);
      until('the SYNs to come back', () => came() >= times);
      for (const socket of sockets) socket.close();
      return { server, clients, netns: lab.client.inode };
    },
  },
  {
    id: 'martian-source/loopback-translated',
    cause: 'martian-source',
    title: 'connects to loopback that NAT sends to another host, and may not leave',
    families: [4],
    commands: ['nft'],
    says: () => ({ kind: 'loopback translated' }),
    prepare: fromLoopback,
    run: dialLoopback,
  },
  {
    id: 'martian-source/loopback-source',
    cause: 'martian-source',
    ownerless: true,
    title: 'connects from loopback that NAT sends to another host, with the source that they had',
    families: [4],
    commands: ['nft'],
    says: () => ({ kind: 'loopback source' }),
    prepare(lab, options) {
      fromLoopback(lab, options);
      const settings = ['all', 'lo', 'c0'].map((name) => `net.ipv4.conf.${name}.route_localnet`);
      lab.client.sysctl(Object.fromEntries(settings.map((name) => [name, 1])));
    },
    run(lab, options) {
      const { clients } = dialLoopback(lab, options);
      const server = { address: HOSTS[4].server, port: OTHER_PORT };
      return { server, clients, netns: lab.server.inode };
    },
  },
];

function fromLoopback(lab: Lab, { family }: Options): void {
  const to = `${HOSTS[family].server}:${OTHER_PORT}`;
  redirect(lab.client, family, `ip daddr 127.0.0.1 tcp dport ${PORT}`, `dnat to ${to}`);
}

function dialLoopback(lab: Lab, { times }: Options): Made {
  const server = { address: '127.0.0.1', port: PORT };
  return { server, clients: knock(lab, server, times), netns: lab.client.inode };
}

export const notOurAddress: Scenario = {
  id: 'not-our-address',
  cause: 'not-our-address',
  title: 'connects to an address that is routed to a host that does not have it',
  families: BOTH,
  drop_reason: 'IP_INADDRERRORS',
  ownerless: true,
  prepare: (lab, { family }) => routeVip(lab, family),
  run(lab, { times, family }) {
    const server = { address: HOSTS[family].vip, port: PORT };
    return { server, clients: knock(lab, server, times), netns: lab.server.inode };
  },
};

export const refusedFromElsewhere: Scenario = {
  id: 'refused-from-elsewhere',
  cause: 'refused-from-elsewhere',
  beside: ['no-listener'],
  title: 'a service address is translated to a closed port, and the reset comes from there',
  families: BOTH,
  commands: ['nft'],
  prepare(lab, { family }) {
    const { vip, server } = HOSTS[family];
    const ip = table(family);
    routeVip(lab, family);
    const there = `${ip} daddr ${vip} ${ip} daddr set ${server};`;
    rules(lab.server, family, `chain there { type filter hook prerouting priority raw; ${there} }`);
  },
  run(lab, { times, family }) {
    const server = { address: HOSTS[family].vip, port: PORT };
    const resets = growth(lab.server, 'Tcp', 'OutRsts');
    const sockets = dial(lab, lab.client, server, times);
    const clients = sockets.map(localOf);
    until('the SYNs to be refused', () => resets() >= times);
    for (const socket of sockets) socket.close();
    return { server, clients, netns: lab.client.inode };
  },
};
