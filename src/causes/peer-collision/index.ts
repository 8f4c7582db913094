// SPDX-License-Identifier: Apache-2.0

import { endpoint, local, remote } from '../../tcp/endpoint.ts';
import { defineCause } from '../define.ts';
import { ownerOf } from '../shared/processes.ts';

export default defineCause({
  id: 'peer-collision',
  title: 'two live connections show the same peer',
  severity: 'error',
  explains:
    'Two connections that are open at once show the process the same peer address and port: whatever keys on the peer crosses them.',
  seenAs: ['reset', 'wrong-peer'],
  needs: ['peer_name'],
  on: ['peer_name'],
  match(event) {
    if (event.kind !== 'peer_name' || !event.body.other) return null;
    const { sock, other, shown_addr, shown_port } = event.body;
    return {
      evidence: {
        local: local(sock.flow),
        shown_peer: endpoint(shown_addr, shown_port),
        true_peer: remote(sock.flow),
        other_true_peer: remote(other.flow),
        other_process: ownerOf(other.owner) ? `${other.owner.comm} (${other.owner.pid})` : null,
      },
      basis: 'direct',
      subject: 'listener',
      where: local(sock.flow),
      flow: sock.flow,
      group: `${event.netns} ${sock.flow.saddr} ${sock.flow.sport}`,
      owner: ownerOf(sock.owner),
    };
  },
  summary({ shown_peer, true_peer, other_true_peer }) {
    return `${true_peer} and ${other_true_peer} both show as ${shown_peer}`;
  },
  advice({ local: at, true_peer, other_true_peer }, { sport }) {
    return [
      `one client reaches ${at} on two ways with one local port: directly and through a balancer. Let it use one of them only`,
      `which of ${true_peer} and ${other_true_peer} is the balancer? \`ss -tn 'sport = :${sport}'\``,
      `or let the balancer use another port than that of ${at}, so that a client’s port may repeat without harm`,
    ];
  },
});
