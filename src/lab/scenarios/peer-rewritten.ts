// SPDX-License-Identifier: Apache-2.0

import { type Address, must } from '../../native/sockets.ts';
import { accept, dialFrom, hangUp, listen, localOf } from '../connections.ts';
import type { Lab } from '../lab.ts';
import { rewritePeers, rewritten } from '../rewriter.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 3269;

/** Clients that use the same ports on each of these ways; the balancer's are shown as the client's. */
function reach(lab: Lab, { times, family }: Options, ways: ('client' | 'balancer')[]): Made {
  const server = { address: HOSTS[family].server, port: PORT };
  using listener = listen(lab, family, PORT, ways.length * times);
  const ports = lab.ports(times);
  const pairs = ways.flatMap((way) => {
    const from = ports.map((port): Address => ({ address: HOSTS[family][way], port }));
    return accept(
      listener,
      from.map((local) => dialFrom(lab, local, server)),
    );
  });
  const clients = pairs.slice(-times).map(({ client }) => localOf(client));
  for (const { server: socket } of pairs) must(socket.getpeername(), 'getpeername');
  hangUp(pairs);
  return { server, clients, netns: lab.server.inode };
}

const peerRewritten: ScenarioEntry = {
  id: 'peer-rewritten',
  title: 'a BPF program shows a balancer’s connections as the client’s own',
  needs: 'rewriter',
  prepare: rewritePeers,
  run: (lab, options) => rewritten(lab, () => reach(lab, options, ['balancer'])),
};

const peerCollision: ScenarioEntry = {
  id: 'peer-collision',
  beside: ['peer-rewritten'],
  title: 'clients reach a server directly and through a balancer with one port',
  needs: 'rewriter',
  prepare: rewritePeers,
  run: (lab, options) => rewritten(lab, () => reach(lab, options, ['client', 'balancer'])),
};

export default [peerRewritten, peerCollision] satisfies ScenarioEntry[];
