// SPDX-License-Identifier: Apache-2.0

import { must } from '../../native/sockets.ts';
import { knock, listen } from '../connections.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 1790;
const IPPROTO_IP = 0;
const IP_MINTTL = 21;
const IPPROTO_IPV6 = 41;
const IPV6_MINHOPCOUNT = 73;
/** One more than senders begin with that do not take part. */
const NEAR = 65;

const minTtl: ScenarioEntry = {
  id: 'min-ttl',
  title: 'SYNs with TTL 64 to a listener that takes no less than 65',
  drop_reason: 'TCP_MINTTL',
  says: () => ({ ttl: 64 }),
  run(lab, { times, family }) {
    const server = { address: HOSTS[family].server, port: PORT };
    using listener = listen(lab, family, PORT, times);
    const [level, option] =
      family === 4 ? [IPPROTO_IP, IP_MINTTL] : [IPPROTO_IPV6, IPV6_MINHOPCOUNT];
    must(listener.setsockopt(level, option, NEAR), 'setsockopt');
    const clients = knock(lab, server, times);
    return { server, clients, netns: lab.server.inode };
  },
};

export default [minTtl] satisfies ScenarioEntry[];
