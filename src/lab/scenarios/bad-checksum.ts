// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../../tcp/flags.ts';
import { growth, listen } from '../connections.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { Stranger } from '../stranger.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 443;

const badChecksum: ScenarioEntry = {
  id: 'bad-checksum',
  title: 'SYNs arrive with a wrong TCP checksum',
  ownerless: true,
  run(lab, { times, family }) {
    using stranger = new Stranger(lab, family);
    const refused = growth(lab.server, 'Tcp', 'InCsumErrors');
    using _listener = listen(lab, family, PORT, times);
    const clients = lab.ports(times);
    for (const sport of clients)
      stranger.send({ sport, dport: PORT, flags: TCP_FLAG.syn, window: 65535, damaged: true });
    until('the SYNs to be dropped', () => refused() >= times);
    return {
      server: { address: HOSTS[family].server, port: PORT },
      clients: clients.map((port) => ({ address: stranger.address, port })),
      netns: lab.server.inode,
    };
  },
};

export default [badChecksum] satisfies ScenarioEntry[];
