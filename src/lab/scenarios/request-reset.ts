// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../../tcp/flags.ts';
import { growth, listen } from '../connections.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { Stranger, SYN_ACK } from '../stranger.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 80;

const requestReset: ScenarioEntry = {
  id: 'request-reset',
  title: 'clients answer the SYN-ACK with a reset',
  run(lab, { times, family }) {
    using stranger = new Stranger(lab, family);
    const resets = growth(lab.server, 'TcpExt', 'EmbryonicRsts');
    using _listener = listen(lab, family, PORT, times);
    const clients = lab.ports(times);
    stranger.sendSyns(PORT, clients);
    for (const synAck of stranger.receive(SYN_ACK, times)) {
      stranger.reply(synAck, TCP_FLAG.rst, { ack: 0, window: 0 });
    }
    until('the requests to be reset', () => resets() >= times);
    return {
      server: { address: HOSTS[family].server, port: PORT },
      clients: clients.map((port) => ({ address: stranger.address, port })),
      netns: lab.server.inode,
    };
  },
};

export default [requestReset] satisfies ScenarioEntry[];
