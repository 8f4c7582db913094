// SPDX-License-Identifier: Apache-2.0

import { knock, listen } from '../connections.ts';
import type { Lab } from '../lab.ts';
import { hits, rule } from '../rules.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 6443;

const netfilterDrop: ScenarioEntry = {
  id: 'netfilter-drop',
  title: 'a firewall rule of the server drops SYNs',
  ownerless: true,
  commands: ['nft'],
  prepare: (lab) => rule(lab, PORT, 'drop'),
  run: (lab, options) => knocked(lab, options, PORT),
};

/** SYNs, each sent once, that meet the rule for this port. */
export function knocked(lab: Lab, { times, family }: Options, port: number): Made {
  const server = { address: HOSTS[family].server, port };
  const before = hits(lab);
  using _listener = listen(lab, family, port, times);
  const clients = knock(lab, server, times);
  until('the SYNs to meet the rule', () => hits(lab) - before >= times);
  return { server, clients, netns: lab.server.inode };
}

export default [netfilterDrop] satisfies ScenarioEntry[];
