// SPDX-License-Identifier: Apache-2.0

import { must } from '../../native/sockets.ts';
import { awaitReset, dial, dialWith, localOf } from '../connections.ts';
import type { Lab } from '../lab.ts';
import { forward, routeVip } from '../nat.ts';
import type { Netns } from '../netns.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { HOSTS, plug } from '../wiring.ts';
import { limitTtl } from './unreachable.ts';

const PORT = 8443;
/** A network between the server and another router, by each family. */
const BETWEEN = {
  4: { server: '10.4.27.11', router: '10.4.27.1', bits: 24, any: '0.0.0.0/0' },
  6: { server: '2001:db8:27::11', router: '2001:db8:27::1', bits: 64, any: '::/0' },
} as const;
const S1_MAC = '02:00:00:00:01:11';
const R0_MAC = '02:00:00:00:01:01';

/** The server sends what is for the service address to a router whose default route is the server. */
function circle(lab: Lab, { family }: Options): void {
  const router = lab.netns('router');
  const { server, router: hop, bits, any } = BETWEEN[family];
  plug(
    { netns: lab.server, device: 's1', mac: S1_MAC },
    { netns: router, device: 'r0', mac: R0_MAC },
  );
  const nodad = family === 6 ? ' nodad' : '';
  lab.server.ip(
    `addr add ${server}/${bits} dev s1${nodad}`,
    `neigh add ${hop} lladdr ${R0_MAC} dev s1 nud permanent`,
    `route add ${HOSTS[family].vip} via ${hop}`,
  );
  router.ip(
    `addr add ${hop}/${bits} dev r0${nodad}`,
    `neigh add ${server} lladdr ${S1_MAC} dev r0 nud permanent`,
    `route add ${any} via ${server}`,
  );
  routeVip(lab, family);
  for (const netns of [lab.server, router]) forwards(netns);
}

/** And answers each time with an ICMP error. */
function forwards(netns: Netns): void {
  forward(netns);
  netns.sysctl({
    'net.ipv4.icmp_ratelimit': 0,
    'net.ipv6.icmp.ratelimit': 0,
    'net.ipv4.conf.all.send_redirects': 0,
    'net.ipv4.conf.all.rp_filter': 0,
  });
}

/** Connects to the service address that end with an ICMP error. */
function refused(lab: Lab, { times, family }: Options): Made {
  const server = { address: HOSTS[family].vip, port: PORT };
  const sockets = dial(lab, lab.client, server, times);
  const clients = sockets.map(localOf);
  awaitReset(sockets, 'EHOSTUNREACH');
  return { server, clients, netns: lab.client.inode };
}

/** What begins with an odd TTL ends at the server, which would give it to the router again. */
const ODD_TTL = 63;

/** SYNs to the service address, each sent once. */
function lost(lab: Lab, { times, family }: Options): Made {
  const server = { address: HOSTS[family].vip, port: PORT };
  const sockets = dialWith(lab, lab.client, server, times, (socket) =>
    must(limitTtl(socket, family, ODD_TTL), 'setsockopt'),
  );
  const clients = sockets.map(localOf);
  for (const socket of sockets) socket.close();
  return { server, clients, netns: lab.server.inode };
}

export default [
  {
    id: 'ttl-exceeded',
    beside: ['icmp-unreachable'],
    title: 'SYNs that two routers send to each other',
    ownerless: true,
    says: ({ family }) => ({
      ...{ ttl: 1, arrived_on: 's1', goes_back: true },
      next_hop: BETWEEN[family].router,
    }),
    prepare: circle,
    run: lost,
  },
  {
    id: 'icmp-unreachable/loop',
    beside: ['ttl-exceeded'],
    title: 'connects that end in a routing loop',
    says: ({ family }) => ({
      icmp_from: BETWEEN[family].router,
      own_ttl: null,
      icmp: /time exceeded$/,
    }),
    prepare: circle,
    run: refused,
  },
] satisfies ScenarioEntry[];
