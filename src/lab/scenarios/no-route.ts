// SPDX-License-Identifier: Apache-2.0

import { knock } from '../connections.ts';
import type { Lab } from '../lab.ts';
import { BOTH, type Options, type Scenario } from '../scenario.ts';
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

export const noRoute: Scenario[] = [
  {
    id: 'no-route',
    cause: 'no-route',
    beside: ['icmp-unreachable'],
    title: 'SYNs by a gateway that has no route for them',
    families: BOTH,
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
    cause: 'no-route',
    title: 'SYNs by a gateway whose route for them is a blackhole',
    families: BOTH,
    ownerless: true,
    drop_reason: 'IP_INNOROUTES',
    says: () => ({ route: 'blackhole', forwarded: true }),
    prepare(lab, options) {
      forwards(lab, options);
      lab.server.ip(`route replace blackhole ${HOSTS[options.family].nowhere}`);
    },
    run: knocks,
  },
];
