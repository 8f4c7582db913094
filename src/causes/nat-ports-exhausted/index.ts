// SPDX-License-Identifier: Apache-2.0

import { ENTRY, TRACKED } from '../../tcp/conntrack.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { defineCause } from '../define.ts';
import { isBesideRules, listEntries, whereabouts } from '../shared/conntrack.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';

export default defineCause({
  id: 'nat-ports-exhausted',
  title: 'no free port to translate a connection to',
  severity: 'error',
  explains:
    'This host translates the source of connections, and has no free source port left for that destination.',
  seenAs: ['connect-hangs'],
  needs: ['drop', 'tracked'],
  on: ['drop'],
  supersedes: ['netfilter-drop'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop' || !isBesideRules(event.body, known)) return null;
    const { packet, conntrack } = event.body;
    if (!conntrack?.sent || conntrack.info !== TRACKED.NEW || conntrack.insert_failed === 0)
      return null;
    const { sent, status, looked_before } = conntrack;
    if (status & ENTRY.CONFIRMED || !(status & ENTRY.SRC_NAT)) return null;
    const { saddr, sport, daddr, dport } = packet.flow;
    return {
      evidence: {
        from: endpoint(sent.saddr, sent.sport),
        translated_to: saddr,
        port_in_use: sport,
        destination: endpoint(daddr, dport),
        dialled: endpoint(sent.daddr, sent.dport),
        ...whereabouts(event.body, event.netns, known),
        netns: event.netns,
      },
      basis: looked_before ? 'direct' : 'inferred',
      subject: 'host',
      where: endpoint(daddr, dport),
      flow: { ...sent, service: packet.flow.service },
      related: [packet.flow],
      group: `${event.netns} ${saddr} ${daddr} ${dport}`,
      owner: null,
    };
  },
  summary({ from, translated_to, port_in_use, destination }) {
    return `no free source port of ${translated_to} for ${destination}: ${from} could not be translated (${port_in_use} was the last that was tried, and is in use)`;
  },
  advice({ translated_to, destination, netns }, { daddr, dport }) {
    return [
      `which ports may it use? The rule (without a range they are 1024 to 65535): \`${inNetns(netns, 'nft -a list ruleset')} | grep -nE 'snat|masquerade'\` or \`iptables-save -c | grep -E 'SNAT|MASQUERADE'\``,
      `who uses them? Count by the first src= of each line: \`${inNetns(netns, listEntries(daddr, `-d ${daddr} --dport ${dport}`))}\``,
      `more ports: a wider range in the rule, or more addresses beside ${translated_to}; a port serves once for each destination`,
      `fewer connections: let clients keep those to ${destination} open. A closed one holds its port on: \`${inNetns(netns, 'sysctl net.netfilter.nf_conntrack_tcp_timeout_time_wait')}\``,
    ];
  },
});
