// SPDX-License-Identifier: Apache-2.0

import { awaitReset, dial, listen, localOf } from '../connections.ts';
import type { Lab } from '../lab.ts';
import { routeVip } from '../nat.ts';
import type { Made, ScenarioEntry } from '../scenario.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 3306;

function refused(lab: Lab, times: number, address: string): Made {
  const server = { address, port: PORT };
  const sockets = dial(lab, lab.client, server, times);
  const clients = sockets.map(localOf);
  awaitReset(sockets, 'ECONNREFUSED');
  return { server, clients, netns: lab.server.inode };
}

export default [
  {
    id: 'no-listener',
    title: 'clients dial a port on which nothing listens',
    ownerless: true,
    run: (lab, { times, family }) => refused(lab, times, HOSTS[family].server),
  },
  {
    id: 'no-listener/not-here',
    title:
      'clients dial an address that only a route makes the server’s, for a proxy that is not up',
    ownerless: true,
    says: () => ({ address_is_here: false }),
    prepare(lab, { family }) {
      routeVip(lab, family);
      lab.server.ip(`route add local ${HOSTS[family].vip} dev lo`);
    },
    run: (lab, { times, family }) => refused(lab, times, HOSTS[family].vip),
  },
  {
    id: 'no-listener/ended',
    title: 'clients dial a port whose listener has just been closed',
    ownerless: true,
    says: () => ({ listened_before: { process_end: null } }),
    run(lab, { times, family }) {
      listen(lab, family, PORT, times).close();
      return refused(lab, times, HOSTS[family].server);
    },
  },
] satisfies ScenarioEntry[];
