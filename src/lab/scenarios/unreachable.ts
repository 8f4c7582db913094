// SPDX-License-Identifier: Apache-2.0

import { type Address, must, POLLOUT, type Socket } from '../../native/sockets.ts';
import type { Family } from '../../tcp/address.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import {
  accept,
  anyOf,
  awaitAll,
  awaitTimeout,
  connect,
  dial,
  dialWith,
  failAtOnce,
  hangUp,
  knock,
  listen,
  localOf,
} from '../connections.ts';
import type { Lab } from '../lab.ts';
import { bracketed, forward, redirect, routeVip, rules, table } from '../nat.ts';
import type { Netns } from '../netns.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 8080;
const OTHER_PORT = 8082;
const IPPROTO_IP = 0;
const IP_TTL = 2;
const IPPROTO_IPV6 = 41;
const IPV6_UNICAST_HOPS = 16;

/** On the lab's own segment, where nobody has them. */
const ABSENT = { 4: '10.4.26.99', 6: '2001:db8:26::99' } as const;

/** What the socket sends goes no farther than so many hops. */
export function limitTtl(socket: Socket, family: Family, ttl: number) {
  const [level, name] = family === 4 ? [IPPROTO_IP, IP_TTL] : [IPPROTO_IPV6, IPV6_UNICAST_HOPS];
  return socket.setsockopt(level, name, ttl);
}

/** Connects of the client whose packets may go no farther than to the server. */
function nearby(lab: Lab, family: Family, server: Address, times: number): Socket[] {
  const sockets = Array.from({ length: times }, () => lab.socket(lab.client, { family }));
  for (const socket of sockets) {
    must(limitTtl(socket, family, 1), 'setsockopt');
    socket.connect(server.address, server.port);
  }
  return sockets;
}

const icmpUnreachable: ScenarioEntry = {
  id: 'icmp-unreachable',
  beside: ['ttl-exceeded'],
  title: 'connects to a host that is farther away than their packets may go',
  says: () => ({ own_ttl: 1, icmp: /time exceeded$/ }),
  prepare(lab, { family }) {
    lab.client.ip(`route add ${HOSTS[family].nowhere} via ${HOSTS[family].server}`);
    lab.server.sysctl({
      'net.ipv4.ip_forward': 1,
      'net.ipv6.conf.all.forwarding': 1,
      'net.ipv4.icmp_ratelimit': 0,
      'net.ipv6.icmp.ratelimit': 0,
    });
  },
  run(lab, { times, family }) {
    const server = { address: HOSTS[family].nowhere, port: PORT };
    return refused(lab.client, server, nearby(lab, family, server, times));
  },
};

const neighbourFailed: ScenarioEntry = {
  id: 'neighbour-failed',
  title: 'connects to an address of the own segment that nobody has',
  says: ({ family }) => ({ neighbour: ABSENT[family], device: 's0', is_gateway: false }),
  prepare: (lab) => askOnce(lab.server),
  run(lab, { times, family }) {
    const server = { address: ABSENT[family], port: PORT };
    return refused(lab.server, server, dial(lab, lab.server, server, times));
  },
};

const neighbourFailedGateway: ScenarioEntry = {
  id: 'neighbour-failed/gateway',
  title: 'connects by a gateway that is gone',
  says: ({ family }) => ({ neighbour: ABSENT[family], device: 's0', is_gateway: true }),
  // It is asked three times, as is usual: a SYN is due again before, and finds the first one waiting.
  prepare(lab, { family }) {
    lab.server.ip(`route replace ${HOSTS[family].nowhere} via ${ABSENT[family]}`);
  },
  run(lab, { times, family }) {
    const server = { address: HOSTS[family].nowhere, port: PORT };
    return refused(lab.server, server, dial(lab, lab.server, server, times));
  },
};

const neighbourFailedNoCarrier: ScenarioEntry = {
  id: 'neighbour-failed/no-carrier',
  title: 'connects by a device whose cable was pulled out',
  says: ({ family }) => ({
    neighbour: ABSENT[family],
    device: 'c0',
    is_gateway: false,
    device_state: 'no carrier',
  }),
  prepare(lab) {
    askOnce(lab.client, 'c0');
    lab.server.ip('link set s0 down');
    const seen = () => lab.client.exec('ip', ['-o', 'link', 'show', 'c0']);
    until('the cable to carry no more', () => / state (LOWERLAYER)?DOWN /.test(seen()));
    lab.client.ip(`route replace ${ABSENT[6]}/128 dev c0 src ${HOSTS[6].client}`);
  },
  run(lab, { times, family }) {
    const server = { address: ABSENT[family], port: PORT };
    return refused(lab.client, server, dial(lab, lab.client, server, times));
  },
};

const neighbourFailedTranslated: ScenarioEntry = {
  id: 'neighbour-failed/translated',
  title: 'SYNs that a gateway’s NAT sends to an address of its segment that nobody has',
  ownerless: true,
  commands: ['nft'],
  says: ({ family }) => ({
    neighbour: ABSENT[family],
    is_gateway: false,
    translated_from: endpoint(HOSTS[family].vip, PORT),
  }),
  prepare(lab, { family }) {
    askOnce(lab.server);
    forward(lab.server);
    routeVip(lab, family);
    const dnat = `${table(family)} daddr ${HOSTS[family].vip} dnat to ${ABSENT[family]};`;
    const chain = `chain there { type nat hook prerouting priority -100; ${dnat} }`;
    rules(lab.server, family, chain);
  },
  run(lab, { times, family }) {
    const clients = knock(lab, { address: HOSTS[family].vip, port: PORT }, times);
    const server = { address: ABSENT[family], port: PORT };
    return { server, clients, netns: lab.server.inode };
  },
};

/** One question, so that it takes a second and not three. */
function askOnce(netns: Netns, device = 's0'): void {
  netns.sysctl({
    [`net.ipv4.neigh.${device}.mcast_solicit`]: 1,
    [`net.ipv6.neigh.${device}.mcast_solicit`]: 1,
  });
}

/** All fail with EHOSTUNREACH. */
function refused({ inode: netns }: Netns, server: Address, sockets: Socket[]): Made {
  const clients = sockets.map(localOf);
  awaitTimeout(sockets, 'EHOSTUNREACH');
  return { server, clients, netns };
}

/** The client's own NAT sends what dials the virtual address elsewhere. */
function translate(lab: Lab, family: Family, target: string): void {
  const match = `${table(family)} daddr ${HOSTS[family].vip} tcp dport ${PORT}`;
  redirect(lab.client, family, match, `dnat to ${bracketed(family, target, OTHER_PORT)}`);
}

const unreachableRedirected: ScenarioEntry[] = [
  {
    id: 'neighbour-failed/redirected',
    title: 'connects that the client’s own NAT sends to a host on its segment that is gone',
    tier: 'tracepoints',
    commands: ['nft'],
    says: ({ family }) => ({
      neighbour: ABSENT[family],
      is_gateway: false,
      redirected_to: bracketed(family, ABSENT[family], OTHER_PORT),
    }),
    prepare: (lab, { family }) => translate(lab, family, ABSENT[family]),
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].vip, port: PORT };
      return refused(lab.client, server, dial(lab, lab.client, server, times));
    },
  },
  {
    id: 'icmp-unreachable/redirected',
    beside: ['ttl-exceeded'],
    title: 'connects that the client’s own NAT sends farther than their packets may go',
    tier: 'tracepoints',
    commands: ['nft'],
    says: () => ({ own_ttl: 1, icmp: /time exceeded$/ }),
    prepare(lab, options) {
      icmpUnreachable.prepare?.(lab, options);
      translate(lab, options.family, HOSTS[options.family].nowhere);
    },
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].vip, port: PORT };
      return refused(lab.client, server, nearby(lab, family, server, times));
    },
  },
];

const connectGivenUp: ScenarioEntry = {
  id: 'connect-given-up',
  title: 'connects to a host that never answers, closed after a second',
  run(lab, { times, family }) {
    const server = { address: HOSTS[family].nowhere, port: PORT };
    const retransmitted = () => lab.server.counter('TcpExt', 'TCPSynRetrans');
    const before = retransmitted();
    const sockets = dial(lab, lab.server, server, times);
    const clients = sockets.map(localOf);
    until('the SYNs to be sent again', () => retransmitted() - before >= times);
    for (const socket of sockets) socket.close();
    return { server, clients, netns: lab.server.inode };
  },
};

/** Of so few ports that the connects of one scenario use them all. */
const FIRST = 40_000;

const portsExhausted: ScenarioEntry = {
  id: 'ports-exhausted',
  title: 'connects that find no local port any more',
  says: () => ({ ip_local_port_range: `${FIRST}-${FIRST + 1}`, ports_in_range: 2 }),
  prepare: (lab) => lab.client.sysctl({ 'net.ipv4.ip_local_port_range': `${FIRST} ${FIRST + 1}` }),
  run(lab: Lab, { times, family }: Options) {
    const server = { address: HOSTS[family].server, port: PORT };
    const held = connect(lab, { times: 2, family }, PORT);
    failAtOnce(lab, lab.client, server, times, 'EADDRNOTAVAIL');
    hangUp(held);
    const clients = [{ address: HOSTS[family].client, port: 0 }];
    return { server, clients, netns: lab.client.inode };
  },
};

const IP_LOCAL_PORT_RANGE = 51;

const portsExhaustedOfOwn: ScenarioEntry = {
  id: 'ports-exhausted/own-range',
  title: 'connects that find no local port in the range that the program gave their socket',
  knows: 'local_port_range',
  says: () => ({ own_port_range: `${FIRST}-${FIRST + 1}`, ports_in_range: 2 }),
  run(lab, { times, family }) {
    const server = { address: HOSTS[family].server, port: PORT };
    const narrow = (socket: Socket) =>
      must(
        socket.setsockopt(IPPROTO_IP, IP_LOCAL_PORT_RANGE, ((FIRST + 1) << 16) + FIRST),
        'setsockopt',
      );
    const listener = listen(lab, family, PORT, 2);
    const held = accept(listener, dialWith(lab, lab.client, server, 2, narrow));
    listener.close();
    failAtOnce(lab, lab.client, server, times, 'EADDRNOTAVAIL', narrow);
    hangUp(held);
    const clients = [{ address: HOSTS[family].client, port: 0 }];
    return { server, clients, netns: lab.client.inode };
  },
};

const portsExhaustedByBinding: ScenarioEntry = {
  id: 'ports-exhausted/bind',
  title: 'binds to any port of an address on which all are taken',
  says: ({ family }) => ({
    bound_to: HOSTS[family].client,
    ports_in_range: 2,
    error: 'EADDRINUSE',
  }),
  prepare: (lab) => lab.client.sysctl({ 'net.ipv4.ip_local_port_range': `${FIRST} ${FIRST + 1}` }),
  run(lab, { times, family }) {
    const address = HOSTS[family].client;
    const held = [FIRST, FIRST + 1].map((port) => {
      const socket = lab.socket(lab.client, { family });
      must(socket.bind(address, port), 'bind');
      return socket;
    });
    for (let time = 0; time < times; time++) {
      const socket = lab.socket(lab.client, { family });
      const { error } = socket.bind(address, 0);
      if (error !== 'EADDRINUSE') throw new Error(`expected EADDRINUSE, got ${error}`);
      socket.close();
    }
    for (const socket of held) socket.close();
    const asked = { address, port: 0 };
    const nobody = { address: anyOf(family), port: 0 };
    return { server: asked, clients: [nobody], netns: lab.client.inode };
  },
};

const selfConnect: ScenarioEntry = {
  id: 'self-connect',
  title: 'connects to the port that is their own',
  // The same port again: none stays in TIME_WAIT.
  prepare: (lab) => lab.server.sysctl({ 'net.ipv4.tcp_max_tw_buckets': 0 }),
  run(lab, { times, family }) {
    const address = HOSTS[family].server;
    for (let time = 0; time < times; time++) {
      const socket = lab.socket(lab.server, { family });
      must(socket.bind(address, PORT), 'bind');
      const { error } = socket.connect(address, PORT);
      if (error !== null && error !== 'EINPROGRESS') throw new Error(`connect failed: ${error}`);
      awaitAll([socket], POLLOUT, 'the connect');
      socket.close();
    }
    const self = { address, port: PORT };
    return { server: self, clients: [self], netns: lab.server.inode };
  },
};

export default [
  icmpUnreachable,
  neighbourFailed,
  neighbourFailedGateway,
  neighbourFailedNoCarrier,
  neighbourFailedTranslated,
  ...unreachableRedirected,
  connectGivenUp,
  portsExhausted,
  portsExhaustedOfOwn,
  portsExhaustedByBinding,
  selfConnect,
] satisfies ScenarioEntry[];
