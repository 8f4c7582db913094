// SPDX-License-Identifier: Apache-2.0

import { knock } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { until } from '../until.ts';
import { HOSTS, MAC } from '../wiring.ts';

const PORT = 7600;
/** Of the other end of a tunnel, which does not exist. */
const FAR = { 4: '10.77.2.9', 6: '2001:db8:77::9' } as const;
/** Inside the tunnel between client and server. */
const INNER = {
  4: { client: '10.4.27.45/24', server: '10.4.27.11' },
  6: { client: '2001:db8:27::45/64', server: '2001:db8:27::11' },
} as const;

/** Gives the client a tunnel of this kind, by which the host of `nowhere` is reached. */
function tunnel(lab: Lab, { family }: Options, vxlan: string): void {
  const { nowhere } = HOSTS[family];
  lab.client.ip(
    `link add vx0 type vxlan dstport 4789 ${vxlan}`,
    'link set vx0 up',
    `route add ${nowhere} dev vx0`,
    `neigh add ${nowhere} lladdr ${MAC.server} dev vx0 nud permanent`,
  );
}

function knocked(lab: Lab, { times, family }: Options): Made {
  const server = { address: HOSTS[family].nowhere, port: PORT };
  return { server, clients: knock(lab, server, times), netns: lab.client.inode };
}

const sent = () => ({ interface: 'vx0', sent: true });

export default [
  {
    id: 'tunnel-drop',
    title: 'SYNs by a VXLAN device whose other end is reached by the device itself',
    says: sent,
    prepare(lab, options) {
      const far = FAR[options.family];
      tunnel(lab, options, `id 5 remote ${far}`);
      lab.client.ip(`route add ${far} dev vx0`);
    },
    run: knocked,
  },
  {
    id: 'tunnel-drop/no-route',
    title: 'SYNs by a VXLAN device to whose other end there is no route',
    says: sent,
    prepare: (lab, options) => tunnel(lab, options, `id 5 remote ${FAR[options.family]}`),
    run: knocked,
  },
  {
    id: 'tunnel-drop/unknown-end',
    title: 'SYNs by a VXLAN device that knows no other end for their MAC address',
    says: sent,
    prepare: (lab, options) => tunnel(lab, options, 'id 5'),
    run: knocked,
  },
  {
    id: 'tunnel-drop/untold',
    title: 'SYNs by a VXLAN device that is told by routes where to, and is not',
    says: () => ({ interface: 'vx0' }),
    prepare: (lab, options) => tunnel(lab, options, 'external'),
    run: knocked,
  },
  {
    id: 'tunnel-drop/congestion-marks',
    title: 'SYNs out of a VXLAN device whose outer packets were marked, though they may not be',
    commands: ['nft'],
    drop_reason: 'IP_TUNNEL_ECN',
    ownerless: true,
    says: () => ({ interface: 'vx0', sent: false }),
    prepare(lab, { family }) {
      const { client, server } = INNER[family];
      const [near, far] = [HOSTS[4].client, HOSTS[4].server];
      const vxlan = 'type vxlan id 6 dstport 4789 remote';
      lab.server.ip(`link add vx0 address ${MAC.server} ${vxlan} ${near}`, 'link set vx0 up');
      lab.client.ip(
        `link add vx0 ${vxlan} ${far}`,
        'link set vx0 up',
        `addr add ${client} dev vx0${family === 6 ? ' nodad' : ''}`,
        `neigh add ${server} lladdr ${MAC.server} dev vx0 nud permanent`,
      );
      const chain = 'type filter hook output priority 0; udp dport 4789 ip ecn set ce;';
      lab.client.exec('nft', ['-f', '-'], `table ip lab {\n chain out { ${chain} }\n}\n`);
    },
    run(lab, { times, family }) {
      const received = () =>
        Number(lab.server.exec('cat', ['/sys/class/net/vx0/statistics/rx_frame_errors']));
      const before = received();
      const server = { address: INNER[family].server, port: PORT };
      const clients = knock(lab, server, times);
      until('the SYNs to come out of the tunnel', () => received() - before >= times);
      return { server, clients, netns: lab.server.inode };
    },
  },
] satisfies ScenarioEntry[];
