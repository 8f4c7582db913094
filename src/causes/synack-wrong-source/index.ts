// SPDX-License-Identifier: Apache-2.0

import { endpoint, local, remote } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { defineCause } from '../define.ts';
import { listEntries } from '../shared/conntrack.ts';
import { ownerOf } from '../shared/processes.ts';

export default defineCause({
  id: 'synack-wrong-source',
  title: 'answered from an address that was not dialled',
  severity: 'error',
  explains:
    'The answer to a connect came from another address than the one dialled: its destination was translated on the way there and not on the way back.',
  seenAs: ['connect-hangs'],
  packets: true,
  needs: ['reset_sent', 'dialled'],
  on: ['reset_sent'],
  supersedes: ['request-reset', 'connection-unknown', 'reset-by-peer'],
  leadsTo: ['connect-given-up', 'connect-timeout', 'syn-resent', 'syn-unanswered'],
  match(event) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, dialled } = event.body;
    if (!packet || !dialled || !(packet.flags & TCP_FLAG.ack)) return null;
    const { saddr, sport, daddr } = packet.flow;
    return {
      evidence: {
        dialled: remote(dialled.flow),
        answered_by: endpoint(saddr, sport),
        client: local(dialled.flow),
        ...(saddr === daddr && { own_address: true }),
        synack_ack: packet.ack_seq,
        isn_plus_1: packet.ack_seq,
        ttl: packet.ttl,
      },
      basis: 'direct',
      subject: 'flow',
      where: remote(dialled.flow),
      flow: packet.flow,
      group: `${event.netns} ${dialled.flow.daddr} ${dialled.flow.dport} ${saddr} ${sport}`,
      owner: ownerOf(dialled.owner),
    };
  },
  summary({ dialled, answered_by, own_address }) {
    return own_address
      ? `dialled ${dialled}, answered by ${answered_by}, which is the client’s own address: its SYN was sent back to it (hairpin) with that address as its source, so the answer never leaves this host`
      : `dialled ${dialled}, answered by ${answered_by}: translated on the way there, not on the way back`;
  },
  advice({ dialled, answered_by, own_address }, { saddr: backend, daddr: client }) {
    const service = String(dialled).replace(/:\d+$/, '').replace(/[[\]]/g, '');
    if (own_address)
      return [
        `what translates ${dialled} has to translate the source too (masquerade) where it sends a client’s packets back to that client: \`${listEntries(service, `-d ${service}`)}\` there`,
        `or let the process dial ${answered_by}: it is a backend of ${dialled} itself`,
      ];
    return [
      `the answers of ${answered_by} must return through what translates ${dialled}: compare the way there with the way back. On ${backend}: \`ip route get ${client}\``,
      `on the translating node: \`${listEntries(service, `-d ${service}`)}\` On Cilium: \`cilium bpf lb list\` and \`cilium bpf ct list global\``,
      `are ${client} and ${backend} on one node or one subnet? Then the answer goes straight back: translate the source too (masquerade), or dial ${answered_by}`,
    ];
  },
});
