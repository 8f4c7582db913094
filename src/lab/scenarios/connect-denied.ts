// SPDX-License-Identifier: Apache-2.0

import { type Address, must, type Socket } from '../../native/sockets.ts';
import { anyOf, connect, failAtOnce, hangUp, localOf } from '../connections.ts';
import { DROPPED_PORT, denyInCgroup } from '../dropping.ts';
import type { Lab } from '../lab.ts';
import { within } from '../rewriter.ts';
import { BOTH, type Made, type Options, type Scenario } from '../scenario.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 8080;
/** On no device of the lab. */
const ABSENT = { 4: '10.4.26.98', 6: '2001:db8:26::98' } as const;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;

const cgroup = ({ client }: Lab) => `${client.name}-denied`;

/** As the host is asked for it. */
function made(lab: Lab, server: Address, client: string, port = 0): Made {
  return { server, clients: [{ address: client, port }], netns: lab.client.inode };
}

export const connectDenied: Scenario[] = [
  {
    id: 'connect-denied',
    cause: 'connect-denied',
    title: 'binds to an address that is not here',
    families: BOTH,
    says: ({ family }) => ({
      call: 'bind',
      error: 'EADDRNOTAVAIL',
      denied_by: [`${ABSENT[family]} is no address of this host`],
    }),
    run(lab, { times, family }) {
      for (let time = 0; time < times; time++) {
        const socket = lab.socket(lab.client, { family });
        const { error } = socket.bind(ABSENT[family], PORT);
        if (error !== 'EADDRNOTAVAIL') throw new Error(`expected EADDRNOTAVAIL, got ${error}`);
        socket.close();
      }
      return made(lab, { address: ABSENT[family], port: PORT }, anyOf(family));
    },
  },
  {
    id: 'connect-denied/program',
    cause: 'connect-denied',
    title: 'connects that a program of the process’s cgroup forbids',
    families: BOTH,
    needs: 'dropping',
    commands: ['bpftool'],
    says: ({ family }) => ({
      error: 'EPERM',
      hook: `cgroup connect${family}`,
      // Where a security module is there too, it is named after it.
      denied_by: {
        0: new RegExp(`^program lab_policy_c${family} .* at cgroup connect${family} of /`),
      },
    }),
    run(lab, { times, family }: Options) {
      const server = { address: HOSTS[family].server, port: DROPPED_PORT };
      const folder = denyInCgroup(lab, cgroup(lab));
      within(folder, () => failAtOnce(lab, lab.client, server, times, 'EPERM'));
      return made(lab, server, anyOf(family));
    },
  },
  {
    id: 'connect-denied/same-ends',
    cause: 'connect-denied',
    title: 'connects from a port that has that very connection already',
    families: BOTH,
    says: () => ({ error: 'EADDRNOTAVAIL', denied_by: [/^another socket has /] }),
    run(lab, { times, family }) {
      const share = (socket: Socket) =>
        must(socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1), 'setsockopt');
      const held = connect(lab, { times: 1, family }, PORT);
      const [pair] = held;
      if (!pair) throw new Error('nothing was accepted');
      share(pair.client);
      const { address, port } = localOf(pair.client);
      const server = { address: HOSTS[family].server, port: PORT };
      failAtOnce(lab, lab.client, server, times, 'EADDRNOTAVAIL', (socket) => {
        share(socket);
        must(socket.bind(address, port), 'bind');
      });
      hangUp(held);
      return made(lab, server, address, port);
    },
  },
  {
    id: 'connect-denied/source-gone',
    cause: 'connect-denied',
    title: 'connects from an address that was removed since',
    // IPv6 sends all the same.
    families: [4],
    says: () => ({ error: 'ENETUNREACH', denied_by: [/ is no address of this host any more$/] }),
    run(lab, { times }) {
      const server = { address: HOSTS[4].server, port: PORT };
      lab.client.ip(`addr add ${ABSENT[4]}/24 dev c0`);
      const sockets = Array.from({ length: times }, () => lab.socket(lab.client, { family: 4 }));
      for (const socket of sockets) must(socket.bind(ABSENT[4], 0), 'bind');
      lab.client.ip(`addr del ${ABSENT[4]}/24 dev c0`);
      const clients = sockets.map(localOf);
      for (const socket of sockets) {
        const { error } = socket.connect(server.address, server.port);
        if (error !== 'ENETUNREACH') throw new Error(`expected ENETUNREACH, got ${error}`);
        socket.close();
      }
      return { server, clients, netns: lab.client.inode };
    },
  },
  {
    id: 'connect-denied/no-interface',
    cause: 'connect-denied',
    title: 'connects to a link-local address without an interface',
    families: [6],
    says: () => ({ error: 'EINVAL', denied_by: [/no interface is named/] }),
    run(lab, { times }) {
      const server = { address: 'fe80::99', port: PORT };
      failAtOnce(lab, lab.client, server, times, 'EINVAL');
      return made(lab, server, anyOf(6));
    },
  },
];
