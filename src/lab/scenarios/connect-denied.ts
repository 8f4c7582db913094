// SPDX-License-Identifier: Apache-2.0

import { type Address, must, type Socket } from '../../native/sockets.ts';
import { familyOf } from '../../tcp/address.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import {
  accept,
  anyOf,
  connect,
  dialFrom,
  failAtOnce,
  hangUp,
  listen,
  localOf,
} from '../connections.ts';
import { DROPPED_PORT, denyInCgroup } from '../dropping.ts';
import type { Lab } from '../lab.ts';
import { within } from '../rewriter.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
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

/** Of the client's, below what everybody may bind to. */
const LOW_PORT = 443;
const NOBODY = 65_534;
/** Within ip_local_port_range. */
const GIVEN = 40_000;

/** Binds in the client’s namespace that all fail, with this errno. */
function failToBind(lab: Lab, at: Address, times: number, code: string): void {
  const family = familyOf(at.address);
  bindAll(
    Array.from({ length: times }, () => lab.socket(lab.client, { family })),
    at,
    code,
  );
}

function bindsTaken(lab: Lab, { times, family }: Options, address: string, port: number): Made {
  failToBind(lab, { address, port }, times, 'EADDRINUSE');
  return made(lab, { address, port }, anyOf(family));
}

function bindAll(sockets: Socket[], { address, port }: Address, code: string): void {
  for (const socket of sockets) {
    const { error } = socket.bind(address, port);
    if (error !== code) throw new Error(`expected ${code}, got ${error}`);
    socket.close();
  }
}

export default [
  {
    id: 'connect-denied',
    title: 'binds to an address that is not here',
    says: ({ family }) => ({
      call: 'bind',
      error: 'EADDRNOTAVAIL',
      denied_by: [`${ABSENT[family]} is no address of this host`],
    }),
    run(lab, { times, family }) {
      failToBind(lab, { address: ABSENT[family], port: PORT }, times, 'EADDRNOTAVAIL');
      return made(lab, { address: ABSENT[family], port: PORT }, anyOf(family));
    },
  },
  {
    id: 'connect-denied/program',
    title: 'connects that a program of the process’s cgroup forbids',
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
    title: 'connects from a port that has that very connection already',
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
    title: 'connects to a link-local address without an interface',
    families: [6],
    says: () => ({ error: 'EINVAL', denied_by: [/no interface is named/] }),
    run(lab, { times }) {
      const server = { address: 'fe80::99', port: PORT };
      failAtOnce(lab, lab.client, server, times, 'EINVAL');
      return made(lab, server, anyOf(6));
    },
  },
  {
    id: 'connect-denied/port-listened',
    title: 'binds to a port that the process listens on already',
    says: ({ family }) => ({
      call: 'bind',
      error: 'EADDRINUSE',
      port_held_by: 'own listener',
      denied_by: [`it listens on ${endpoint(anyOf(family), PORT)} itself`],
    }),
    // It is there until the host was asked who has the port.
    prepare(lab, { family }) {
      const listener = lab.socket(lab.client, { family });
      must(listener.bind(anyOf(family), PORT), 'bind');
      must(listener.listen(1), 'listen');
    },
    run: (lab, options) => bindsTaken(lab, options, HOSTS[options.family].client, PORT),
  },
  {
    id: 'connect-denied/port-connected',
    title: 'binds to a port that a connect of this host has',
    says: () => ({
      error: 'EADDRINUSE',
      port_held_by: 'connections',
      reuse_address: false,
      in_port_range: true,
    }),
    prepare(lab, { family }) {
      const { client, server } = HOSTS[family];
      const listener = listen(lab, family, PORT, 1);
      const from = { address: client, port: GIVEN };
      accept(listener, [dialFrom(lab, from, { address: server, port: PORT })]);
    },
    run: (lab, options) => bindsTaken(lab, options, anyOf(options.family), GIVEN),
  },
  {
    id: 'connect-denied/port-bound',
    title: 'binds to a port that another socket is bound to',
    knows: 'TCP_BOUND_INACTIVE',
    says: () => ({ error: 'EADDRINUSE', port_held_by: 'socket' }),
    prepare(lab, { family }) {
      must(lab.socket(lab.client, { family }).bind(HOSTS[family].client, PORT), 'bind');
    },
    run: (lab, options) => bindsTaken(lab, options, HOSTS[options.family].client, PORT),
  },
  {
    id: 'connect-denied/privileged',
    title: 'binds to a low port without the capability for it',
    says: () => ({
      error: 'EACCES',
      port_held_by: 'privileged',
      denied_by: [/^port 443 is below 1024 /],
    }),
    run(lab, { times, family }) {
      const address = HOSTS[family].client;
      const sockets = Array.from({ length: times }, () => lab.socket(lab.client, { family }));
      process.seteuid?.(NOBODY);
      try {
        bindAll(sockets, { address, port: LOW_PORT }, 'EACCES');
      } finally {
        process.seteuid?.(0);
      }
      return made(lab, { address, port: LOW_PORT }, anyOf(family));
    },
  },
] satisfies ScenarioEntry[];
