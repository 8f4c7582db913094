// SPDX-License-Identifier: Apache-2.0

import { awaitTimeout, dial, knock, listen, localOf } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';
import { giveUpSoon } from './silence.ts';

const PORT = 7080;

/** SYNs, each sent once, that the client's own qdisc drops. */
function knocked(lab: Lab, { times, family }: Options): Made {
  const server = { address: HOSTS[family].server, port: PORT };
  using _listener = listen(lab, family, PORT, times);
  const before = dropped(lab);
  const clients = knock(lab, server, times);
  until('the SYNs to be dropped', () => dropped(lab) - before >= times);
  return { server, clients, netns: lab.client.inode };
}

function dropped(lab: Lab): number {
  const qdisc = lab.client.exec('tc', ['-s', 'qdisc', 'show', 'dev', 'c0']);
  return Number(qdisc.match(/dropped (\d+)/)?.[1]);
}

/** A queue that has no room for one segment. */
const FULL = ['tbf', 'rate', '8mbit', 'burst', '3000', 'limit', '1'];

function shape(lab: Lab, qdisc: readonly string[]): void {
  lab.client.exec('tc', ['qdisc', 'add', 'dev', 'c0', 'root', ...qdisc]);
}

export default [
  {
    id: 'qdisc-drop',
    title: 'SYNs that the client’s own qdisc has no room for',
    says: () => ({ qdiscs: [/^tbf \(rate 8 Mbit\/s, .*limit 1 bytes\)$/] }),
    prepare: (lab) => shape(lab, FULL),
    run: knocked,
  },
  {
    id: 'connect-timeout/qdisc-drop',
    beside: ['qdisc-drop'],
    title: 'connects whose SYNs the client’s own qdisc loses',
    prepare(lab) {
      giveUpSoon(lab.client);
      shape(lab, FULL);
    },
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].server, port: PORT };
      using _listener = listen(lab, family, PORT, times);
      const sockets = dial(lab, lab.client, server, times);
      const clients = sockets.map(localOf);
      awaitTimeout(sockets);
      return { server, clients, netns: lab.client.inode };
    },
  },
] satisfies ScenarioEntry[];
