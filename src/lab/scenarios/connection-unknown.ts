// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { accept, awaitQueued, dial, hangUp, listen } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { PSH_ACK, Stranger } from '../stranger.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 3269;
const HIGH_PORT = 65_269;
const NEVER_SERVED_PORT = 65_270;
const BACKLOG = 3;

function stray(lab: Lab, { times, family }: Options, port = PORT): Made {
  const server = { address: HOSTS[family].server, port };
  using stranger = new Stranger(lab, family);
  const clients = lab.ports(times);
  for (const [index, sport] of clients.entries()) {
    const flags = index % 2 ? PSH_ACK : TCP_FLAG.ack;
    const payload = Buffer.from(index % 2 ? 'select 1' : '');
    stranger.send({ sport, dport: port, flags, seq: 1000, ack: 2000, window: 500, payload });
  }
  stranger.receive(TCP_FLAG.rst, times);
  return {
    server,
    clients: clients.map((from) => ({ address: stranger.address, port: from })),
    netns: lab.server.inode,
    where: endpoint(server.address, port),
  };
}

export default [
  {
    id: 'connection-unknown',
    title: 'segments arrive for connections that the server does not have',
    ownerless: true,
    run: stray,
  },
  {
    id: 'connection-unknown/listener',
    title: 'the same where the port is listened to, as after a restart',
    run(lab, options) {
      using _listener = listen(lab, options.family, PORT, options.times);
      return stray(lab, options);
    },
  },
  {
    id: 'connection-unknown/high-port',
    title: 'the same after the service went away, where its port is above those of its clients',
    ownerless: true,
    prepare: (lab) => lab.server.sysctl({ 'net.ipv4.ip_local_port_range': '1024 65535' }),
    run(lab, options) {
      listen(lab, options.family, HIGH_PORT, options.times).close();
      return stray(lab, options, HIGH_PORT);
    },
  },
  {
    id: 'connection-unknown/never-served',
    title: 'the same where nothing but ip_local_port_range tells the service from its clients',
    ownerless: true,
    prepare: (lab) => lab.server.sysctl({ 'net.ipv4.ip_local_port_range': '61000 65000' }),
    run: (lab, options) => stray(lab, options, NEVER_SERVED_PORT),
  },
  {
    id: 'connection-unknown/full-listener',
    title: 'the same where the listener’s accept queue is full, which has no part in it',
    run(lab, options) {
      using listener = listen(lab, options.family, PORT, BACKLOG);
      const server = { address: HOSTS[options.family].server, port: PORT };
      const waiting = dial(lab, lab.client, server, BACKLOG + 1);
      awaitQueued(listener, waiting.length);
      const made = stray(lab, options);
      hangUp(accept(listener, waiting));
      return made;
    },
  },
] satisfies ScenarioEntry[];
