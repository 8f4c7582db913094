// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../../tcp/flags.ts';
import { awaitReset, dial, localOf } from '../connections.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { RST_ACK, Stranger } from '../stranger.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 5432;

const connectRefused: ScenarioEntry = {
  id: 'connect-refused',
  title: 'another host, or something on the way to it, answers connects with a reset',
  run(lab, { times, family }) {
    using stranger = new Stranger(lab, family);
    const server = { address: HOSTS[family].nowhere, port: PORT };
    const sockets = dial(lab, lab.server, server, times);
    const clients = sockets.map(localOf);
    for (const syn of stranger.receive(TCP_FLAG.syn, times))
      stranger.reply(syn, RST_ACK, { seq: 0, window: 0 });
    awaitReset(sockets, 'ECONNREFUSED');
    return { server, clients, netns: lab.server.inode };
  },
};

export default [connectRefused] satisfies ScenarioEntry[];
