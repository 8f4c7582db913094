// SPDX-License-Identifier: Apache-2.0

import { must, POLLIN, type Socket } from '../../native/sockets.ts';
import {
  accept,
  awaitAll,
  dial,
  dialWith,
  growth,
  hangUp,
  knock,
  listen,
  localOf,
  say,
} from '../connections.ts';
import type { Lab } from '../lab.ts';
import { bracketed, forward, redirect, routeVip, rules, table } from '../nat.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { Stranger } from '../stranger.ts';
import { until } from '../until.ts';
import { HOSTS, MAC } from '../wiring.ts';

const PORT = 443;
const OTHER_PORT = 15_001;
const AGAIN_PATIENCE_MS = 10_000;

const martianSource: ScenarioEntry[] = [
  {
    id: 'martian-source',
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
    title: 'connects to loopback that NAT sends to another host, and may not leave',
    families: [4],
    commands: ['nft'],
    says: () => ({ kind: 'loopback translated' }),
    prepare: fromLoopback,
    run: dialLoopback,
  },
  {
    id: 'martian-source/loopback-source',
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

const notOurAddress: ScenarioEntry = {
  id: 'not-our-address',
  title: 'connects to an address that is routed to a host that does not have it',
  drop_reason: 'IP_INADDRERRORS',
  ownerless: true,
  prepare: (lab, { family }) => routeVip(lab, family),
  run(lab, { times, family }) {
    const server = { address: HOSTS[family].vip, port: PORT };
    return { server, clients: knock(lab, server, times), netns: lab.server.inode };
  },
};

const SOL_SOCKET = 1;
const SO_BINDTODEVICE = 25;

const notOurAddressLoopback: ScenarioEntry = {
  id: 'not-our-address/by-lo',
  title: 'connects to another host by sockets that are bound to lo',
  families: [4],
  // Linux 6.1 has this reason, and tells of nothing there.
  drop_reason: 'NO_SOCKET',
  knows: 'rx_sk',
  ownerless: true,
  says: () => ({ by_loopback: true, arrived_on: 'lo' }),
  run(lab, { times, family }) {
    const server = { address: HOSTS[family].server, port: PORT };
    const toLo = (socket: Socket) =>
      must(socket.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, Buffer.from('lo\0')), 'setsockopt');
    const sockets = dialWith(lab, lab.client, server, times, toLo);
    const clients = sockets.map(localOf);
    for (const socket of sockets) socket.close();
    return { server, clients, netns: lab.client.inode };
  },
};

/** A host that forwards sends on what is for others, but not what a socket of its own waits for. */
const notOurAddressForwarding: ScenarioEntry = {
  id: 'not-our-address/forwarding',
  title: 'an address is removed under open connections of a host that forwards',
  says: ({ family }) => ({
    address: HOSTS[family].vip,
    of_a_connection: true,
    forwarding: 1,
    answers_connect: false,
  }),
  prepare(lab, { family }) {
    const { vip, server } = HOSTS[family];
    // What is lost is not sent again before the address is back.
    lab.client.ip(`route add ${vip} via ${server} rto_min 2s`);
    forward(lab.server);
  },
  run(lab, { times, family }) {
    const address = HOSTS[family].vip;
    const server = { address, port: PORT };
    const its = `${address}/${family === 4 ? 32 : 128} dev lo`;
    lab.server.ip(`addr add ${its}`);
    const listener = listen(lab, family, PORT, times, { address });
    const pairs = accept(listener, dial(lab, lab.client, server, times));
    listener.close();
    lab.server.ip(`addr del ${its}`);
    const clients = pairs.map(({ client }) => client);
    say(clients, 'lost');
    lab.server.ip(`addr add ${its}`);
    awaitAll(
      pairs.map((pair) => pair.server),
      POLLIN,
      'what was sent again',
      AGAIN_PATIENCE_MS,
    );
    const ends = clients.map(localOf);
    for (const pair of pairs) must(pair.server.recv(), 'recv');
    hangUp(pairs);
    return { server, clients: ends, netns: lab.server.inode };
  },
};

/** A rule of TPROXY without what delivers here what it takes: what has a listener is not forwarded. */
const notOurAddressIntercepted: ScenarioEntry = {
  id: 'not-our-address/intercepted',
  title: 'SYNs that TPROXY gives to a proxy, and no rule and route for its mark delivers them',
  commands: ['nft'],
  says: () => ({ of_a_connection: false, forwarding: 1, connection_of: /\(\d+\)$/ }),
  prepare(lab, { family }) {
    routeVip(lab, family);
    forward(lab.server);
    const to = bracketed(family, HOSTS[family].server, OTHER_PORT);
    const given = `tcp dport ${PORT} tproxy to ${to} meta mark set 1;`;
    rules(lab.server, family, `chain pre { type filter hook prerouting priority -150; ${given} }`);
  },
  run(lab, { times, family }) {
    const listener = listen(lab, family, OTHER_PORT, times, { transparent: true });
    const server = { address: HOSTS[family].vip, port: PORT };
    const clients = knock(lab, server, times);
    listener.close();
    return { server, clients, netns: lab.server.inode };
  },
};

/** The server has the address too, and has seen that another host does. */
const notOurAddressDuplicate: ScenarioEntry = {
  id: 'not-our-address/duplicate',
  title: 'SYNs to an IPv6 address that is not used here since another host has it too',
  families: [6],
  drop_reason: 'IP_INADDRERRORS',
  ownerless: true,
  says: () => ({ duplicate: true, forwarding: 0 }),
  prepare(lab) {
    const { vip } = HOSTS[6];
    lab.server.sysctl({ 'net.ipv6.conf.s0.accept_dad': 1, 'net.ipv6.conf.s0.dad_transmits': 1 });
    lab.client.ip(`addr add ${vip}/128 dev c0 nodad`);
    lab.server.ip(`addr add ${vip}/128 dev s0`);
    const failed = () => lab.server.exec('ip', ['-6', 'addr', 'show', 'dadfailed']);
    until('the other host to answer for the address', () => failed().includes(vip));
  },
  run(lab, { times }) {
    const { vip, nowhere } = HOSTS[6];
    using stranger = new Stranger(lab, 6, vip);
    const ports = lab.ports(times);
    stranger.sendSyns(PORT, ports);
    return {
      server: { address: vip, port: PORT },
      clients: ports.map((port) => ({ address: nowhere, port })),
      netns: lab.server.inode,
    };
  },
};

/** Of no host. */
const STALE_MAC = '02:00:00:00:00:99';

const wrongMac: ScenarioEntry = {
  id: 'wrong-mac',
  title: 'SYNs to a host that another one sends to the MAC that it had before',
  // From 6.4 on: see PRUNES_WELL in bpf/include/kernel.h.
  knows: 'bpf_iter_num',
  ownerless: true,
  says: ({ family }) => ({
    address: HOSTS[family].server,
    frame_to_mac: STALE_MAC,
    own_mac: MAC.server,
    frame_from_mac: MAC.client,
    arrived_on: 's0',
  }),
  prepare(lab, { family }) {
    const { server } = HOSTS[family];
    lab.client.ip(`neigh replace ${server} lladdr ${STALE_MAC} dev c0 nud permanent`);
  },
  run(lab, { times, family }) {
    const server = { address: HOSTS[family].server, port: PORT };
    return { server, clients: knock(lab, server, times), netns: lab.server.inode };
  },
};

const refusedFromElsewhere: ScenarioEntry = {
  id: 'refused-from-elsewhere',
  // Where the machine is slow it is unanswered for long enough before it is closed.
  beside: ['no-listener', 'connect-given-up'],
  title: 'a service address is translated to a closed port, and the reset comes from there',
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

export default [
  ...martianSource,
  notOurAddress,
  notOurAddressLoopback,
  notOurAddressForwarding,
  notOurAddressIntercepted,
  notOurAddressDuplicate,
  wrongMac,
  refusedFromElsewhere,
] satisfies ScenarioEntry[];
