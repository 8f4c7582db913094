// SPDX-License-Identifier: Apache-2.0

import type { Family } from '../../tcp/address.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { anyOf, closeUnheard, connect, failAtOnce, knock, localOf, say } from '../connections.ts';
import type { Lab } from '../lab.ts';
import { forward, redirect, routeVip, rules, table } from '../nat.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 8443;

/** The server is a gateway, and the client sends what is for nowhere by it. */
function forwards(lab: Lab, { family }: Options): void {
  const { nowhere, server } = HOSTS[family];
  lab.client.ip(`route add ${nowhere} via ${server}`);
  lab.server.sysctl({ 'net.ipv4.ip_forward': 1, 'net.ipv6.conf.all.forwarding': 1 });
}

function knocks(lab: Lab, { times, family }: Options) {
  const server = { address: HOSTS[family].nowhere, port: PORT };
  const clients = knock(lab, server, times);
  return { server, clients, netns: lab.server.inode };
}

export default [
  {
    id: 'no-route',
    beside: ['icmp-unreachable'],
    title: 'SYNs by a gateway that has no route for them',
    ownerless: true,
    drop_reason: 'IP_INNOROUTES',
    says: () => ({ route: null, forwarded: true }),
    prepare(lab, options) {
      forwards(lab, options);
      lab.server.ip(`route del ${HOSTS[options.family].nowhere}`);
    },
    run: knocks,
  },
  {
    id: 'no-route/blackhole',
    title: 'SYNs by a gateway whose route for them is a blackhole',
    ownerless: true,
    drop_reason: 'IP_INNOROUTES',
    says: () => ({ route: 'blackhole', forwarded: true }),
    prepare(lab, options) {
      forwards(lab, options);
      lab.server.ip(`route replace blackhole ${HOSTS[options.family].nowhere}`);
    },
    run: knocks,
  },
  {
    id: 'no-route/address-gone',
    title:
      'segments of connections whose address was taken from the server, with the route to its own network',
    // Of IPv4 this is not-our-address: there a host that does not forward asks for no route.
    families: [6],
    ownerless: true,
    says: () => ({ route: null, forwarded: true, of_a_connection: true }),
    run(lab, options) {
      const pairs = connect(lab, options, PORT);
      const sockets = pairs.map(({ client }) => client);
      const clients = sockets.map(localOf);
      lab.server.ip('addr flush dev s0 scope global');
      say(sockets, 'one more thing');
      closeUnheard(sockets);
      const server = { address: HOSTS[6].server, port: PORT };
      return { server, clients, netns: lab.server.inode };
    },
  },
  {
    id: 'no-route/connect',
    title: 'connects that no route leads to',
    says: ({ family }) => ({
      route: null,
      dialled: remoteOf(family),
      error: 'ENETUNREACH',
    }),
    run: (lab, options) => failing(lab, options, 'ENETUNREACH'),
  },
  {
    id: 'no-route/narrow',
    title: 'connects by a device whose MTU is less than IPv6 asks for',
    families: [6],
    info: true,
    says: () => ({ route: null, too_narrow: [{ device: 'c0', mtu: 1200 }] }),
    prepare: (lab) => lab.client.ip('link set c0 mtu 1200'),
    run: (lab, options) => failing(lab, options, 'ENETUNREACH', HOSTS[6].server),
  },
  {
    id: 'no-route/translated',
    title: 'connects that the host’s own NAT sends where no route leads',
    commands: ['nft'],
    says: ({ family }) => ({
      route: null,
      translated_from: endpoint(HOSTS[family].vip, PORT),
      to: remoteOf(family),
      forwarded: false,
    }),
    prepare(lab, { family }) {
      const { vip } = HOSTS[family];
      const match = `${table(family)} daddr ${vip} tcp dport ${PORT}`;
      redirect(lab.client, family, match, `dnat to ${remoteOf(family)}`);
    },
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].vip, port: PORT };
      const clients = knock(lab, server, times);
      return { server, clients, netns: lab.client.inode };
    },
  },
  {
    id: 'no-route/translated-prohibit',
    title: 'connects that the host’s own NAT sends where a route prohibits it',
    commands: ['nft'],
    says: ({ family }) => ({
      route: 'prohibit',
      translated_from: endpoint(HOSTS[family].vip, PORT),
      to: remoteOf(family),
    }),
    prepare(lab, { family }) {
      const { vip, nowhere } = HOSTS[family];
      const match = `${table(family)} daddr ${vip} tcp dport ${PORT}`;
      redirect(lab.client, family, match, `dnat to ${remoteOf(family)}`);
      lab.client.ip(`route add prohibit ${nowhere}`);
    },
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].vip, port: PORT };
      const clients = knock(lab, server, times);
      return { server, clients, netns: lab.client.inode };
    },
  },
  {
    id: 'no-route/translated-on',
    beside: ['icmp-unreachable'],
    title: 'SYNs that a gateway’s NAT sends where it has no route',
    ownerless: true,
    commands: ['nft'],
    drop_reason: 'IP_INNOROUTES',
    says: ({ family }) => ({
      route: null,
      translated_from: endpoint(HOSTS[family].vip, PORT),
      to: remoteOf(family),
      forwarded: true,
    }),
    prepare(lab, options) {
      const { vip, nowhere } = HOSTS[options.family];
      forward(lab.server);
      routeVip(lab, options.family);
      lab.server.ip(`route del ${nowhere}`);
      const dnat = `tcp dport ${PORT} dnat to ${remoteOf(options.family)}`;
      const chain = `chain there { type nat hook prerouting priority -100; ${table(options.family)} daddr ${vip} ${dnat}; }`;
      rules(lab.server, options.family, chain);
    },
    run(lab, { times, family }) {
      const clients = knock(lab, { address: HOSTS[family].vip, port: PORT }, times);
      const server = { address: HOSTS[family].nowhere, port: PORT };
      return { server, clients, netns: lab.server.inode };
    },
  },
  {
    id: 'no-route/prohibit',
    title: 'connects whose route is one that prohibits',
    says: () => ({ route: 'prohibit', prefix: /^(172|2001)/, table: 'main', rule: null }),
    prepare: (lab, { family }) => lab.client.ip(`route add prohibit ${HOSTS[family].nowhere}`),
    run: (lab, options) => failing(lab, options, 'EACCES'),
  },
  {
    id: 'no-route/rule',
    title: 'connects that a rule of policy routing throws away',
    says: () => ({ route: 'blackhole', prefix: null, rule: /^77: from all to .* blackhole$/ }),
    prepare(lab, { family }) {
      const rule = `-${family} rule add priority 77 to ${HOSTS[family].nowhere} blackhole`;
      lab.client.exec('ip', rule.split(' '));
    },
    run: (lab, options) => failing(lab, options, 'EINVAL'),
  },
] satisfies ScenarioEntry[];

const remoteOf = (family: Family) => endpoint(HOSTS[family].nowhere, PORT);

/** Connects of the client that fail at once. */
function failing(
  lab: Lab,
  { times, family }: Options,
  error: string,
  address: string = HOSTS[family].nowhere,
): Made {
  const server = { address, port: PORT };
  failAtOnce(lab, lab.client, server, times, error);
  return { server, clients: [{ address: anyOf(family), port: 0 }], netns: lab.client.inode };
}
