// SPDX-License-Identifier: Apache-2.0

import { endpoint, local, remote } from '../../tcp/endpoint.ts';
import type { Event } from '../../wire/event.ts';
import { defineCause, type Match } from '../define.ts';
import { ownerOf } from '../shared/processes.ts';

type Collision = {
  local: string;
  shown_peer: string;
  true_peer: string;
  other_true_peer: string;
  other_process: string | null;
  /** Of a capture: where the peer is told. */
  told_by?: string;
};

export default defineCause<Collision>({
  id: 'peer-collision',
  title: 'two live connections show the same peer',
  severity: 'error',
  explains:
    'Two connections that are open at once show the process the same peer address and port: whatever keys on the peer crosses them.',
  seenAs: ['reset', 'wrong-peer'],
  packets: true,
  needs: ['peer_name'],
  on: ['peer_name', 'told_peer'],
  match(event) {
    if (event.kind === 'told_peer') return told(event);
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
  summary({ shown_peer, true_peer, other_true_peer, told_by }) {
    if (told_by)
      return `${true_peer} tells in ${told_by} that it is for ${shown_peer}, and ${other_true_peer} is open as well: both show as that where the option is read`;
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

/** What a capture shows: whether the option is read is not known. */
function told({ body, netns }: Event<'told_peer'>): Match<Collision> | null {
  const { flow, toa, other } = body;
  if (!other) return null;
  return {
    evidence: {
      local: local(flow),
      shown_peer: endpoint(toa.addr, toa.port),
      true_peer: remote(flow),
      other_true_peer: remote(other),
      other_process: null,
      told_by: `TCP option ${toa.kind}`,
    },
    basis: 'inferred',
    subject: 'listener',
    where: local(flow),
    flow,
    related: [other],
    group: `${netns} ${flow.saddr} ${flow.sport}`,
    owner: null,
  };
}
