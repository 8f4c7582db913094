// SPDX-License-Identifier: Apache-2.0

import { growth, knock, listen } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { refuseByPolicy, UNHEARD_PORT, UNWANTED_PORT } from '../security.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

/** SYNs, each sent once, to a listener under the policy. */
function knocked(lab: Lab, { times, family }: Options, port: number): Made {
  const server = { address: HOSTS[family].server, port };
  const arrived = growth(lab.server, 'Tcp', 'InSegs');
  using _listener = listen(lab, family, port, times);
  const clients = knock(lab, server, times);
  until('the SYNs to arrive', () => arrived() >= times);
  return { server, clients, netns: lab.server.inode };
}

const security: ScenarioEntry[] = [
  {
    id: 'security-drop',
    title: 'a program of the BPF LSM does not let a listener receive SYNs',
    needs: 'security',
    prepare: refuseByPolicy,
    run: (lab, options) => knocked(lab, options, UNHEARD_PORT),
  },
  {
    id: 'syn-dropped-one-of/security',
    title: 'a program of the BPF LSM does not let a listener answer SYNs',
    needs: 'security',
    prepare: refuseByPolicy,
    run: (lab, options) => knocked(lab, options, UNWANTED_PORT),
  },
];

export default [...security] satisfies ScenarioEntry[];
