// SPDX-License-Identifier: Apache-2.0

import { growth, knock, listen } from '../connections.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { until } from '../until.ts';
import { HOSTS, plug } from '../wiring.ts';

const PORT = 179;
const C1_MAC = '02:00:00:00:01:45';
const S1_MAC = '02:00:00:00:01:11';

const rpFilter: ScenarioEntry = {
  id: 'rp-filter',
  title: 'SYNs come in on a line through which the server would not answer',
  families: [4],
  says: () => ({ interface: 's1', way_back_by: 's0' }),
  ownerless: true,
  prepare(lab) {
    const { client, server } = HOSTS[4];
    plug(
      { netns: lab.client, device: 'c1', mac: C1_MAC },
      { netns: lab.server, device: 's1', mac: S1_MAC },
    );
    lab.client.ip(
      `neigh add ${server} lladdr ${S1_MAC} dev c1 nud permanent`,
      `route add ${server} dev c1 src ${client}`,
    );
    lab.server.sysctl({ 'net.ipv4.conf.s1.rp_filter': 1 });
  },
  run(lab, { times }) {
    const server = { address: HOSTS[4].server, port: PORT };
    const dropped = growth(lab.server, 'TcpExt', 'IPReversePathFilter');
    using _listener = listen(lab, 4, PORT, times);
    const clients = knock(lab, server, times);
    until('the SYNs to be dropped', () => dropped() >= times);
    return { server, clients, netns: lab.server.inode };
  },
};

export default [rpFilter] satisfies ScenarioEntry[];
