// SPDX-License-Identifier: Apache-2.0

import { familyOf } from '../../tcp/address.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { flagsText } from '../../tcp/flags.ts';
import { service } from '../../tcp/service.ts';
import { defineCause } from '../define.ts';
import { ownerOf } from '../shared/processes.ts';

/** As bpf/include/reject.h numbers them. */
const ANSWERS: Record<number, string> = { 1: 'a reset', 2: 'an ICMP error' };

export default defineCause({
  id: 'netfilter-reject',
  title: 'a firewall rule rejected it',
  severity: 'warning',
  explains:
    'A netfilter rule (nftables or iptables) of this host refused the segment and answered it, with a reset or an ICMP error that no socket sent.',
  needs: ['drop', 'rejected'],
  on: ['drop'],
  supersedes: ['netfilter-drop', 'connect-refused', 'icmp-unreachable', 'reset-by-peer'],
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, sock, rejected, reason, location } = event.body;
    const answer = ANSWERS[rejected];
    if (answer === undefined) return null;
    const byNetfilter = known.hasDropReasons()
      ? known.dropReason(reason) === 'NETFILTER_DROP'
      : known.symbol(location)?.name === 'nf_hook_slow';
    if (!byNetfilter) return null;
    const { saddr, daddr, sport, dport } = packet.flow;
    return {
      evidence: {
        from: endpoint(saddr, sport),
        to: endpoint(daddr, dport),
        flags: flagsText(packet.flags),
        answer,
        interface: packet.device || null,
        arrived: packet.ifindex > 0,
        netns: event.netns,
      },
      basis: 'direct',
      subject: 'flow',
      where: service(packet.flow),
      flow: packet.flow,
      group: `${event.netns} ${service(packet.flow)} ${rejected}`,
      owner: ownerOf(sock?.owner),
    };
  },
  summary({ from, to, flags, answer, interface: device, arrived }) {
    const where = arrived
      ? ` that arrived on ${device ?? 'an unknown interface'}`
      : ' on its way out';
    return `a rule rejected [${flags}] ${from} → ${to}${where}, with ${answer}`;
  },
  advice({ netns, from, to }, { saddr }) {
    const save = familyOf(saddr) === 6 ? 'ip6tables-save' : 'iptables-save';
    return [
      `find the rule: \`nft -a list ruleset | grep -n reject\` or \`${save} | grep REJECT\` In namespace ${netns}: \`nsenter -n -t $(lsns -nt net -o NS,PID | awk '$1==${netns}{print $2}') nft -a list ruleset\``,
      `allow ${from} → ${to} before that rule where it should pass; ${from} is told at once, unlike with drop`,
    ];
  },
});
