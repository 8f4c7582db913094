// SPDX-License-Identifier: Apache-2.0

import { knock } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 7090;

export default [
  {
    id: 'device-down',
    title: 'SYNs by a device whose other end was set down',
    says: () => ({ state: 'no carrier', interface: 'c0' }),
    prepare(lab) {
      lab.server.ip('link set s0 down');
      // The kernel takes the queue away some time after the carrier; until then the other end drops.
      const seen = () => lab.client.exec('ip', ['-o', 'link', 'show', 'c0']);
      until('the cable to carry no more', () => / state (LOWERLAYER)?DOWN /.test(seen()));
      keepAddress(lab);
    },
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].server, port: PORT };
      const clients = knock(lab, server, times);
      return { server, clients, netns: lab.client.inode };
    },
  },
  {
    id: 'device-down/at-once',
    title: 'SYNs by a device whose other end is set down at that very moment',
    says: () => ({ state: 'no carrier', interface: 'c0' }),
    prepare: keepAddress,
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].server, port: PORT };
      lab.server.ip('link set s0 down');
      const clients = knock(lab, server, times);
      return { server, clients, netns: lab.client.inode };
    },
  },
] satisfies ScenarioEntry[];

/** IPv6 addresses of a device without carrier are not usable at once. */
function keepAddress(lab: Lab): void {
  lab.client.ip(`route replace ${HOSTS[6].server}/128 dev c0 src ${HOSTS[6].client}`);
}
