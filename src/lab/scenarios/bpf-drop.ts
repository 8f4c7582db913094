// SPDX-License-Identifier: Apache-2.0

import { awaitTimeout, dial, knock, listen, localOf } from '../connections.ts';
import { DROPPED_PORT, dropAtTc, dropAtXdp, REDIRECTED_PORT } from '../dropping.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';
import { giveUpSoon } from './silence.ts';

/** SYNs, each sent once, that a program at the server's device drops. */
function knocked(lab: Lab, { times, family }: Options, port = DROPPED_PORT): Made {
  const server = { address: HOSTS[family].server, port };
  const arrived = () => receivedAt(lab);
  const before = arrived();
  using _listener = listen(lab, family, port, times);
  const clients = knock(lab, server, times);
  until('the SYNs to arrive', () => arrived() - before >= times);
  return { server, clients, netns: lab.server.inode };
}

/** Packets that came in at the server's device, dropped there or not. */
function receivedAt(lab: Lab): number {
  return Number(lab.server.exec('cat', ['/sys/class/net/s0/statistics/rx_packets']));
}

const direct = (hook: string, program: string) => () => ({
  hook,
  programs: [new RegExp(`^${program} `)],
});

export default [
  {
    id: 'bpf-drop',
    title: 'a program of tc at the server’s device drops SYNs',
    needs: 'dropping',
    says: direct('tc ingress', 'lab_policy_tc'),
    prepare: (lab) => dropAtTc(lab.server, 's0', 'ingress'),
    run: (lab, options) => knocked(lab, options),
  },
  {
    id: 'bpf-drop/xdp',
    title: 'a generic XDP program at the server’s device drops SYNs',
    needs: 'dropping',
    says: direct('xdp generic', 'lab_policy_xdp'),
    prepare: (lab) => dropAtXdp(lab.server, 's0', 'xdpgeneric'),
    run: (lab, options) => knocked(lab, options),
  },
  {
    id: 'bpf-drop/xdp-driver',
    title: 'an XDP program in the driver of the server’s veth device drops SYNs',
    // The driver has taken the segment from its socket by then.
    ownerless: true,
    needs: 'dropping',
    says: direct('xdp', 'lab_policy_xdp'),
    prepare: (lab) => dropAtXdp(lab.server, 's0', 'xdpdrv'),
    run: (lab, options) => knocked(lab, options),
  },
  {
    id: 'bpf-drop/redirected',
    title: 'a program of tc at the server’s device redirects SYNs to a device that is not there',
    needs: 'dropping',
    says: () => ({ redirected: true, programs: [/^lab_policy_tc /] }),
    prepare: (lab) => dropAtTc(lab.server, 's0', 'ingress'),
    run: (lab, options) => knocked(lab, options, REDIRECTED_PORT),
  },
  {
    id: 'connect-timeout/bpf-drop',
    beside: ['bpf-drop'],
    title: 'connects whose SYNs a program of tc drops as they leave',
    needs: 'dropping',
    prepare(lab) {
      giveUpSoon(lab.client);
      dropAtTc(lab.client, 'c0', 'egress');
    },
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].server, port: DROPPED_PORT };
      using _listener = listen(lab, family, DROPPED_PORT, times);
      const sockets = dial(lab, lab.client, server, times);
      const clients = sockets.map(localOf);
      awaitTimeout(sockets);
      return { server, clients, netns: lab.client.inode };
    },
  },
] satisfies ScenarioEntry[];
