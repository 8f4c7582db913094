// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { flagsText } from '../../tcp/flags.ts';
import { defineCause } from '../define.ts';
import { isHeldBySynproxy, whereabouts } from '../shared/conntrack.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';
import { word } from '../shared/wording.ts';

export default defineCause({
  id: 'synproxy-unanswered',
  title: 'SYNPROXY took the connection, and its server does not answer',
  severity: 'error',
  explains:
    'SYNPROXY of this host completed a handshake in the place of a server that does not answer: the client believes to be connected.',
  seenAs: ['first-request-fails', 'stands-still'],
  needs: ['drop', 'tracked'],
  on: ['drop'],
  leadsTo: [...SILENCE, 'peer-window-shut'],
  match(event, known) {
    if (event.kind !== 'drop' || !isHeldBySynproxy(event.body, known)) return null;
    const { packet } = event.body;
    const { saddr, sport, daddr, dport } = packet.flow;
    return {
      evidence: {
        client: endpoint(saddr, sport),
        server: endpoint(daddr, dport),
        flags: flagsText(packet.flags),
        ...whereabouts(event.body, event.netns, known),
        netns: event.netns,
      },
      basis: 'inferred',
      subject: 'host',
      where: endpoint(daddr, dport),
      flow: packet.flow,
      group: `${event.netns} ${daddr} ${dport}`,
      owner: null,
    };
  },
  summary({ client, server, flags }) {
    return `[${flags}] ${client} → ${server} was dropped: SYNPROXY of this host has completed the handshake with ${client}, and ${server} has not answered its SYN`;
  },
  advice({ server, netns }, { daddr, dport }) {
    return [
      `is ${daddr} up, and do the SYNs arrive? \`${inNetns(netns, `ip route get ${daddr}`)}\` On ${daddr}: \`ss -ltn 'sport = :${dport}'\` and \`tcpwhy trace ${word(server)}\``,
      `do they leave here? \`${inNetns(netns, `tcpdump -ni any tcp port ${dport} and host ${daddr}`)}\` A rule for what is INVALID, or a chain of output, may drop them`,
      `the rule: \`${inNetns(netns, 'nft -a list ruleset')} | grep -n synproxy\` or \`iptables-save -c | grep -i synproxy\` Its MSS, window scale and timestamps have to be those of ${server}`,
    ];
  },
});
