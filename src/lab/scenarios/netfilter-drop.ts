// SPDX-License-Identifier: Apache-2.0

import { knock, listen } from '../connections.ts';
import type { Lab } from '../lab.ts';
import { BOTH, type Scenario } from '../scenario.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 6443;

export const netfilterDrop: Scenario = {
  id: 'netfilter-drop',
  cause: 'netfilter-drop',
  title: 'a firewall rule of the server drops SYNs',
  families: BOTH,
  ownerless: true,
  commands: ['nft'],
  prepare(lab) {
    lab.server.exec(
      'nft',
      ['-f', '-'],
      `
      table inet lab {
        counter dropped {}
        chain input { type filter hook input priority 0; tcp dport ${PORT} counter name dropped drop; }
      }`,
    );
  },
  run(lab, { times, family }) {
    const server = { address: HOSTS[family].server, port: PORT };
    const before = dropped(lab);
    using _listener = listen(lab, family, PORT, times);
    const clients = knock(lab, server, times);
    until('the SYNs to be dropped', () => dropped(lab) - before >= times);
    return { server, clients, netns: lab.server.inode };
  },
};

function dropped(lab: Lab): number {
  const counter = lab.server.exec('nft', ['list', 'counter', 'inet', 'lab', 'dropped']);
  return Number(counter.match(/packets (\d+)/)?.[1]);
}
