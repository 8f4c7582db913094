// SPDX-License-Identifier: Apache-2.0

import { readFileSync, writeFileSync } from 'node:fs';
import { must, POLLIN, type Socket } from '../../native/sockets.ts';
import { awaitAll, awaitQueued, connect, dial, hangUp, knock, listen } from '../connections.ts';
import type { Lab } from '../lab.ts';
import { bracketed, rules } from '../nat.ts';
import type { Netns } from '../netns.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { track, tracked } from '../tracked.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 443;
const MAX = '/proc/sys/net/netfilter/nf_conntrack_max';
/** No other namespace of a machine that makes failures has as many for a moment. */
const ENTRIES = 100;

/** SYNs from as many ports, each sent once, until connection tracking has dropped them. */
function knockUntilDropped(lab: Lab, from: Netns, options: Options, counter: string): Made {
  const { times, family } = options;
  const server = { address: HOSTS[family].server, port: PORT };
  const where = counter === 'drop' ? lab.server : lab.client;
  const before = tracked(where, counter);
  const clients = knock(lab, server, times, from);
  until('the SYNs to be dropped', () => tracked(where, counter) - before >= times);
  return { server, clients, netns: where.inode };
}

function full(lab: Lab, options: Options): Made {
  const pairs = connect(lab, { times: ENTRIES, family: options.family }, PORT);
  using _listener = listen(lab, options.family, PORT, options.times);
  const before = readFileSync(MAX, 'utf8');
  try {
    writeFileSync(MAX, lab.server.exec('sysctl', ['-n', 'net.netfilter.nf_conntrack_count']));
    return knockUntilDropped(lab, lab.client, options, 'drop');
  } finally {
    writeFileSync(MAX, before);
    hangUp(pairs);
  }
}

function exhausted(lab: Lab, options: Options): Made {
  const { family } = options;
  const server = { address: HOSTS[family].server, port: PORT };
  using listener = listen(lab, family, PORT, 8);
  const holders = dial(lab, lab.client, server, 2);
  awaitQueued(listener, holders.length);
  const made = knockUntilDropped(lab, lab.client, options, 'insert_failed');
  for (const socket of holders) socket.close();
  for (const _ of holders) hearOut(must(listener.accept({ name: false }), 'accept').socket);
  return made;
}

/** Its other end has closed; nobody knows which that is, since its port is translated. */
function hearOut(socket: Socket): void {
  awaitAll([socket], POLLIN, 'the end of a connection');
  must(socket.recv(), 'recv');
  socket.close();
}

const conntrackFull: ScenarioEntry = {
  id: 'conntrack-full',
  title: 'connects to a host whose connection table is full',
  of_host: true,
  ownerless: true,
  commands: ['nft'],
  says: ({ family }) => ({
    sources: [{ end: HOSTS[family].client }],
    services: [{ end: bracketed(family, HOSTS[family].server, PORT) }],
  }),
  prepare: (lab, { family }) =>
    rules(lab.server, family, `chain input { type filter hook input priority 0; ${track} }`),
  run: full,
};

const natPortsExhausted: ScenarioEntry = {
  id: 'nat-ports-exhausted',
  title: 'connects whose source is translated to one of two ports, both in use',
  ownerless: true,
  commands: ['nft'],
  prepare(lab, { family }) {
    const { client } = HOSTS[family];
    const to = `snat to ${family === 4 ? client : `[${client}]`}:50000-50001`;
    rules(
      lab.client,
      family,
      `chain output { type nat hook postrouting priority 100; tcp dport ${PORT} ${to}; }`,
    );
  },
  run: exhausted,
};

export default [conntrackFull, natPortsExhausted] satisfies ScenarioEntry[];
