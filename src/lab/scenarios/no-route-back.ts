// SPDX-License-Identifier: Apache-2.0

import { growth, listen } from '../connections.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { Stranger } from '../stranger.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 8080;

const run: ScenarioEntry['run'] = (lab, { times, family }) => {
  using stranger = new Stranger(lab, family);
  const refused = growth(lab.server, 'TcpExt', 'ListenDrops');
  using _listener = listen(lab, family, PORT, times);
  const clients = lab.ports(times);
  stranger.sendSyns(PORT, clients);
  until('the SYNs to be refused', () => refused() >= times);
  return {
    server: { address: HOSTS[family].server, port: PORT },
    clients: clients.map((port) => ({ address: stranger.address, port })),
    netns: lab.server.inode,
  };
};

const noRouteBack: ScenarioEntry = {
  id: 'no-route-back',
  title: 'SYNs come from a network that the server has no route to',
  prepare: (lab, { family }) => lab.server.ip(`route del ${HOSTS[family].nowhere}`),
  run,
};

const routeBackRefuses: ScenarioEntry = {
  id: 'no-route-back/refused',
  title: 'SYNs come from a network to which the server has an unreachable route',
  says: () => ({ refused_by: /^the route “unreachable /, refusing_table: 'main' }),
  prepare: (lab, { family }) => lab.server.ip(`route replace unreachable ${HOSTS[family].nowhere}`),
  run,
};

export default [noRouteBack, routeBackRefuses] satisfies ScenarioEntry[];
