// SPDX-License-Identifier: Apache-2.0

import { familyOf } from '../../tcp/address.ts';
import { beforeRedirect } from '../../tcp/conntrack.ts';
import { endpoint, remote } from '../../tcp/endpoint.ts';
import { flagsText } from '../../tcp/flags.ts';
import { service } from '../../tcp/service.ts';
import { defineCause } from '../define.ts';
import { isByNetfilter, toText } from '../shared/conntrack.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import {
  ANSWERS,
  changedText,
  isNoneNow,
  legacyAdvice,
  ruleAdvice,
  ruleEvidence,
  ruleGroup,
  ruleWords,
} from '../shared/rules.ts';
import { SILENCE } from '../shared/silence.ts';

export default defineCause({
  id: 'netfilter-reject',
  title: 'a firewall rule rejected it',
  severity: 'warning',
  explains:
    'A netfilter rule (nftables or iptables) of this host refused the segment and answered it, with a reset or an ICMP error that no socket sent.',
  seenAs: ['connect-unreachable', 'connect-refused', 'reset'],
  needs: ['drop', 'rejected'],
  on: ['drop'],
  supersedes: [
    'netfilter-drop',
    'connect-refused',
    'icmp-unreachable',
    'neighbour-failed',
    'reset-by-peer',
    'request-reset',
  ],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop' || !isByNetfilter(event.body, known)) return null;
    const { packet, sock, sender, rejected } = event.body;
    const told = known.droppedBy(event);
    const how = rejected || told?.answer || 0;
    const answer = ANSWERS[how];
    if (answer === undefined) return null;
    const rule = ruleEvidence(told);
    const { saddr, daddr, sport, dport } = packet.flow;
    const before = beforeRedirect(packet, event.body.conntrack);
    return {
      evidence: {
        from: endpoint(saddr, sport),
        to: endpoint(daddr, dport),
        ...(before && { translated_from: remote(before) }),
        flags: flagsText(packet.flags),
        answer,
        unanswered: told?.unanswered ?? 0,
        interface: packet.ifindex > 0 ? packet.device || null : null,
        arrived: packet.ifindex > 0,
        ...rule,
        netns: event.netns,
      },
      basis: told?.of_another ? 'inferred' : 'direct',
      subject: 'flow',
      where: service(packet.flow),
      flow: packet.flow,
      ...(before && { related: [before] }),
      group: `${event.netns} ${service(packet.flow)} ${how}${ruleGroup(rule)}`,
      owner: ownerOf(sock?.owner) ?? ownerOf(sender ?? undefined),
    };
  },
  summary({ from, flags, answer, unanswered, interface: device, arrived, ...rule }) {
    const to = toText(rule);
    const where = arrived
      ? ` that arrived on ${device ?? 'an unknown interface'}`
      : ' on its way out';
    const silent = unanswered > 0 ? `; ${unanswered} so far without the answer` : '';
    return `${ruleWords(rule)} rejected [${flags}] ${from} → ${to}${where}, with ${answer}${silent}`;
  },
  advice({ netns, from, to, answer, unanswered, ...rule }, flow) {
    const { saddr } = flow;
    const isV6 = familyOf(saddr) === 6;
    const save = isV6 ? 'ip6tables-save' : 'iptables-save';
    const isLegacy =
      (rule.legacy_tables.length > 0 && rule.one_of.length === 0) ||
      (isNoneNow(rule) && rule.legacy_read !== undefined);
    const found =
      ruleAdvice(rule, netns, flow) ?? (isLegacy ? legacyAdvice(rule, netns, flow) : null);
    const limit = isV6 ? 'net.ipv6.icmp.ratelimit' : 'net.ipv4.icmp_ratelimit';
    const allow = `allow ${from} → ${to} before that rule where it should pass; ${from} is told at once, unlike with drop`;
    return [
      ...(isNoneNow(rule)
        ? [
            `none of the rules that are there now answers ${from} → ${to} with ${answer}: ${changedText(rule, netns, flow)}`,
          ]
        : []),
      ...(found ?? [
        `find the rule: \`${inNetns(netns, 'nft -a list ruleset')} | grep -n reject\` or \`${inNetns(netns, save)} | grep REJECT\``,
        allow,
      ]),
      ...(unanswered > 0 && answer === ANSWERS[2]
        ? [
            `ICMP errors are limited to one in so many milliseconds for each host (${limit}): those that got none look dropped to their sender. See \`${inNetns(netns, `sysctl ${limit}`)}\`, or have the rule answer with a reset, which is not limited`,
          ]
        : []),
    ];
  },
});
