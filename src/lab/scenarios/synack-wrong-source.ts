// SPDX-License-Identifier: Apache-2.0

import { dial, growth, listen, localOf } from '../connections.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 80;

const synackWrongSource: ScenarioEntry = {
  id: 'synack-wrong-source',
  // Where the machine is slow it is unanswered for long enough before it is closed.
  beside: ['connect-given-up'],
  title: 'a service address is translated on the way there and not on the way back',
  prepare(lab, { family }) {
    const { vip, server } = HOSTS[family];
    const ip = family === 4 ? 'ip' : 'ip6';
    lab.client.ip(`route add ${vip} via ${server}`);
    lab.server.exec(
      'nft',
      ['-f', '-'],
      `
      table ${ip} lab {
        chain there { type filter hook prerouting priority raw; ${ip} daddr ${vip} ${ip} daddr set ${server}; }
      }`,
    );
  },
  run(lab, { times, family }) {
    const { vip, server } = HOSTS[family];
    const resets = growth(lab.client, 'Tcp', 'OutRsts');
    using _listener = listen(lab, family, PORT, times);
    const sockets = dial(lab, lab.client, { address: vip, port: PORT }, times);
    const clients = sockets.map(localOf);
    until('the answers to be reset', () => resets() >= times);
    for (const socket of sockets) socket.close();
    return { server: { address: server, port: PORT }, clients, netns: lab.client.inode };
  },
};

export default [synackWrongSource] satisfies ScenarioEntry[];
