// SPDX-License-Identifier: Apache-2.0

import { POLLERR, POLLIN } from '../../native/sockets.ts';
import { broken } from '../broken.ts';
import { awaitAll, awaitQueued, awaitReset, dial, listen, localOf, say } from '../connections.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { HOSTS } from '../wiring.ts';

export default [
  {
    id: 'unread-data-on-close',
    title: 'a server closes without having read the request',
    run: (lab, options) =>
      broken(lab, options, 8080, (pairs) => {
        say(
          pairs.map(({ client }) => client),
          'GET / HTTP/1.1\r\n\r\n',
        );
        for (const { server } of pairs) {
          awaitAll([server], POLLIN, 'the request');
          server.close();
        }
      }),
  },
  {
    id: 'socket-destroyed',
    title: 'an administrator destroys connections of a server',
    needs: 'destroying',
    run(lab, options) {
      const port = 5222;
      return broken(lab, options, port, (pairs) => {
        lab.server.exec('ss', ['-K', `sport = :${port}`]);
        for (const { server } of pairs) {
          awaitAll([server], POLLERR, 'the end of the connection');
          server.close();
        }
      });
    },
  },
  {
    id: 'listener-closed',
    title: 'a service stops while connections wait to be accepted',
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].server, port: 9000 };
      const listener = listen(lab, family, server.port, times);
      const sockets = dial(lab, lab.client, server, times);
      const clients = sockets.map(localOf);
      awaitQueued(listener, times);
      listener.close();
      awaitReset(sockets, 'ECONNRESET');
      return { server, clients, netns: lab.server.inode };
    },
  },
] satisfies ScenarioEntry[];
