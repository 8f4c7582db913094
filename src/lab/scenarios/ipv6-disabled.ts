// SPDX-License-Identifier: Apache-2.0

import { knock } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 8443;

const turnedOff = (variant: string, title: string, turnOff: (lab: Lab) => void): ScenarioEntry => ({
  id: `ipv6-disabled${variant}`,
  cause: 'ipv6-disabled',
  title,
  families: [6],
  drop_reason: 'IPV6DISABLED',
  says: () => ({ interface: 's0', arrived: true }),
  prepare: turnOff,
  run(lab, { times, family }) {
    const server = { address: HOSTS[family].server, port: PORT };
    const clients = knock(lab, server, times);
    return { server, clients, netns: lab.server.inode };
  },
});

export default [
  turnedOff('', 'SYNs to a device for which IPv6 is turned off', ({ server }) =>
    server.sysctl({ 'net.ipv6.conf.s0.disable_ipv6': 1 }),
  ),
  turnedOff('/mtu', 'SYNs to a device whose MTU is less than IPv6 asks for', ({ server }) =>
    server.ip('link set s0 mtu 1200'),
  ),
] satisfies ScenarioEntry[];
