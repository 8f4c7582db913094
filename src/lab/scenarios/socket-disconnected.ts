// SPDX-License-Identifier: Apache-2.0

import { must, POLLIN } from '../../native/sockets.ts';
import { broken } from '../broken.ts';
import { awaitAll, IPPROTO_MPTCP, type Pair, say } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';

const REQUEST = 'GET / HTTP/1.1\r\n\r\n';

/** Servers that take their sockets away from their connections. */
function disconnected(
  lab: Lab,
  options: Options,
  before: (pair: Pair) => void,
  how: { code?: 'ECONNRESET' | 'EPIPE'; protocol?: number } = {},
): Made {
  const fail = (pairs: Pair[]) => {
    for (const pair of pairs) {
      before(pair);
      must(pair.server.disconnect(), 'disconnect');
    }
  };
  return broken(lab, options, 8443, fail, how);
}

export default [
  {
    id: 'socket-disconnected',
    title: 'a server disconnects its sockets, to use them again',
    says: () => ({ unread_bytes: 0, unacked_bytes: 0 }),
    run: (lab, options) => disconnected(lab, options, () => {}),
  },
  {
    id: 'socket-disconnected/unread',
    title: 'the same without having read the request',
    says: () => ({ unread_bytes: REQUEST.length }),
    run: (lab, options) =>
      disconnected(lab, options, ({ client, server }) => {
        say([client], REQUEST);
        awaitAll([server], POLLIN, 'the request');
      }),
  },
  {
    id: 'socket-disconnected/shut-down',
    title: 'the same after the server had sent a FIN',
    run(lab, options) {
      const shut = ({ client, server }: Pair) => {
        must(server.shutdown('write'), 'shutdown');
        awaitAll([client], POLLIN, 'the FIN');
      };
      return disconnected(lab, options, shut, { code: 'EPIPE' });
    },
  },
  {
    id: 'socket-disconnected/mptcp',
    title: 'a server of MPTCP disconnects its sockets',
    needs: 'mptcp',
    says: () => ({ protocol: 'MPTCP' }),
    run: (lab, options) =>
      disconnected(
        lab,
        options,
        ({ client, server }) => {
          // What has not heard of the other end yet falls back to TCP.
          say([client], REQUEST);
          awaitAll([server], POLLIN, 'the request');
          must(server.recv(), 'recv');
        },
        { protocol: IPPROTO_MPTCP },
      ),
  },
] satisfies ScenarioEntry[];
