// SPDX-License-Identifier: Apache-2.0

import { endpoint, local, remote } from '../../tcp/endpoint.ts';
import { flagsText } from '../../tcp/flags.ts';
import { reversed } from '../../tcp/service.ts';
import { defineCause } from '../define.ts';
import { listEntries } from '../shared/conntrack.ts';
import { ownerOf } from '../shared/processes.ts';

export default defineCause({
  id: 'crossed-reply',
  title: 'an answer came on the wrong connection',
  severity: 'error',
  explains:
    'What one peer answered came as if from another: two connections with one local port were crossed on the way, by a balancer or NAT.',
  seenAs: ['reset', 'stands-still', 'wrong-peer'],
  packets: true,
  needs: ['drop', 'reset_sent'],
  on: ['crossed_reply'],
  supersedes: ['connection-unknown', 'out-of-window', 'reset-rejected'],
  match(event) {
    if (event.kind !== 'crossed_reply') return null;
    const { packet, fits, sock } = event.body;
    const { saddr, sport } = packet.flow;
    return {
      evidence: {
        local: local(fits.flow),
        came_from: endpoint(saddr, sport),
        fits: remote(fits.flow),
        flags: flagsText(packet.flags),
        seq: packet.seq,
        ack: packet.ack_seq,
        expected_seq: fits.rcv_nxt,
        sent_up_to: fits.snd_nxt,
        ttl: packet.ttl,
        came_on_open_connection: sock !== null,
      },
      basis: 'direct',
      subject: 'flow',
      where: endpoint(saddr, sport),
      flow: reversed(packet.flow),
      related: [fits.flow],
      group: `${event.netns} ${saddr} ${sport} ${fits.flow.daddr} ${fits.flow.dport}`,
      owner: ownerOf(fits.owner),
    };
  },
  summary({ local: at, came_from, fits, flags }) {
    return `${came_from} sent [${flags}] to ${at} with the numbers of its connection with ${fits}`;
  },
  advice({ local: at, came_from, fits }, { saddr, sport }) {
    return [
      `${came_from} and ${fits} lead to the same service: let a client use only one of the two ways, or another local port for each: \`ss -tn 'sport = :${sport}'\``,
      `do both connections of ${at} look alike on the host of ${fits}? There: \`tcpwhy trace --cause peer-collision\``,
      `does a balancer rewrite peers (TOA, FullNAT) or keep an entry of a port that was used again? Its sessions of ${at}: \`ipvsadm -Lnc\` or \`${listEntries(saddr, `--sport ${sport}`)}\``,
    ];
  },
});
