// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { flagsText } from '../../tcp/flags.ts';
import { service } from '../../tcp/service.ts';
import { defineCause } from '../define.ts';
import {
  isByNetfilter,
  isHeldBySynproxy,
  leavesLoopback,
  unroutable,
  whereabouts,
  whereText,
} from '../shared/conntrack.ts';
import { ownerOf } from '../shared/processes.ts';
import {
  changedText,
  isNoneNow,
  legacyAdvice,
  nftSelector,
  ruleAdvice,
  ruleEvidence,
  ruleGroup,
  ruleWords,
} from '../shared/rules.ts';
import { SILENCE } from '../shared/silence.ts';

export default defineCause({
  id: 'netfilter-drop',
  title: 'a firewall rule dropped it',
  severity: 'warning',
  explains: 'A netfilter rule (nftables or iptables) of this host dropped the segment.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  // A rule that rejects drops the packet and answers it.
  supersedes: ['connect-refused'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop') return null;
    if (!isByNetfilter(event.body, known) || leavesLoopback(event.body, known)) return null;
    if (isHeldBySynproxy(event.body, known) || unroutable(event, known)) return null;
    const { packet, sock } = event.body;
    const { saddr, daddr, sport, dport } = packet.flow;
    const told = known.droppedBy(event);
    const rule = ruleEvidence(told);
    return {
      evidence: {
        from: endpoint(saddr, sport),
        to: endpoint(daddr, dport),
        flags: flagsText(packet.flags),
        interface: packet.device || null,
        arrived: packet.ifindex > 0 && event.body.leaves_ifindex === 0,
        ...whereabouts(event.body, event.netns, known),
        ...rule,
        netns: event.netns,
      },
      basis: told?.of_another ? 'inferred' : 'direct',
      subject: 'flow',
      where: service(packet.flow),
      flow: packet.flow,
      group: `${event.netns} ${service(packet.flow)}${ruleGroup(rule)}`,
      owner: ownerOf(sock?.owner),
    };
  },
  summary({ from, to, flags, interface: device, arrived, ...at }) {
    const who = ruleWords(at);
    if (at.leaves_by !== null) return `${who} dropped [${flags}] ${from} → ${to} ${whereText(at)}`;
    const where = arrived
      ? ` that arrived on ${device ?? 'an unknown interface'}`
      : ' on its way out';
    return `${who} dropped [${flags}] ${from} → ${to}${where}`;
  },
  advice({ netns, from, to, arrived, arrived_on, ...rule }, flow) {
    const known = ruleAdvice(rule, netns, flow);
    if (known) return known;
    if (rule.legacy_tables.length > 0 && rule.one_of.length === 0)
      return legacyAdvice(rule, netns, flow);
    const changed = isNoneNow(rule)
      ? [
          `none of the rules that are there now drops ${from} → ${to}: ${changedText(rule, netns, flow)}`,
        ]
      : [];
    if (isNoneNow(rule) && rule.legacy_read)
      return [...changed, ...legacyAdvice(rule, netns, flow)];
    const hook = arrived || arrived_on ? 'prerouting' : 'output';
    return [
      ...changed,
      `find the rule: \`nft -a list ruleset | grep -nE 'drop|reject'\` In namespace ${netns}: \`nsenter -n -t $(lsns -nt net -o NS,PID | awk '$1==${netns}{print $2}') nft -a list ruleset\``,
      `see which it is: \`nft add table inet why && nft 'add chain inet why t { type filter hook ${hook} priority -350; }' && nft add rule inet why t ${nftSelector(flow)} meta nftrace set 1\` Then watch it drop: \`nft monitor trace\` Afterwards: \`nft delete table inet why\``,
      `a policy of drop and a REJECT count too: allow ${from} → ${to} where it should pass`,
    ];
  },
});
