// SPDX-License-Identifier: Apache-2.0

import type { DroppedBy } from '../../known/drop-rules.ts';
import { beforeRedirect, TRACKED } from '../../tcp/conntrack.ts';
import { endpoint, remote } from '../../tcp/endpoint.ts';
import { flagsText } from '../../tcp/flags.ts';
import { service } from '../../tcp/service.ts';
import type { Drop } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import {
  isByNetfilter,
  isHeldBySynproxy,
  leavesLoopback,
  toText,
  unroutable,
  whereabouts,
  whereText,
} from '../shared/conntrack.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import {
  changedText,
  isNoneNow,
  legacyAdvice,
  nftSelector,
  placeText,
  ruleAdvice,
  ruleEvidence,
  ruleGroup,
  ruleWords,
} from '../shared/rules.ts';
import { SILENCE } from '../shared/silence.ts';
import { inWords } from '../shared/wording.ts';

export default defineCause({
  id: 'netfilter-drop',
  title: 'a firewall rule dropped it',
  severity: 'warning',
  explains: 'A netfilter rule (nftables or iptables) of this host dropped the segment.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop') return null;
    if (!isByNetfilter(event.body, known) || leavesLoopback(event.body, known)) return null;
    if (isHeldBySynproxy(event.body, known) || unroutable(event, known)) return null;
    const { packet, sock } = event.body;
    const { saddr, daddr, sport, dport } = packet.flow;
    const told = known.droppedBy(event);
    const before = beforeRedirect(packet, event.body.conntrack);
    const rule = ruleEvidence(told);
    return {
      evidence: {
        from: endpoint(saddr, sport),
        to: endpoint(daddr, dport),
        ...(before && { translated_from: remote(before) }),
        flags: flagsText(packet.flags),
        interface: packet.device || null,
        arrived: packet.ifindex > 0 && event.body.leaves_ifindex === 0,
        ...whereabouts(event.body, event.netns, known),
        ...rule,
        netns: event.netns,
        ...untracked(event.body, told),
        ...(rule.rule !== null && proxied(rule.rule, dport)),
      },
      basis: told?.of_another ? 'inferred' : 'direct',
      subject: 'flow',
      where: service(packet.flow),
      flow: packet.flow,
      ...(before && { related: [before] }),
      group: `${event.netns} ${service(packet.flow)}${ruleGroup(rule)}`,
      owner: ownerOf(sock?.owner),
    };
  },
  summary({ from, flags, interface: device, arrived, untracked_by, proxy_port, ...at }) {
    const to = toText(at);
    const who = ruleWords(at);
    const state =
      untracked_by === undefined
        ? proxy_port === undefined
          ? ''
          : `: no transparent socket (IP_TRANSPARENT) listens on port ${proxy_port}`
        : `; to rules it is of no connection, since it is not tracked${untracked_by.length === 0 ? '' : `: ${untracked_by.map(inWords).join(', ')}`}`;
    if (at.leaves_by !== null)
      return `${who} dropped [${flags}] ${from} → ${to} ${whereText(at)}${state}`;
    const where = arrived
      ? ` that arrived on ${device ?? 'an unknown interface'}`
      : ' on its way out';
    return `${who} dropped [${flags}] ${from} → ${to}${where}${state}`;
  },
  advice({ netns, from, to, arrived, arrived_on, untracked_by, proxy_port, ...rule }, flow) {
    const known = ruleAdvice(rule, netns, flow, untracked_by === undefined);
    if (proxy_port !== undefined)
      return [
        `start the proxy that this is for, or take the rule away; it has to listen there with IP_TRANSPARENT: \`${inNetns(netns, `ss -ltnp 'sport = :${proxy_port}'`)}\``,
        ...(known?.slice(0, 1) ?? []),
      ];
    if (untracked_by !== undefined)
      return [
        `notrack is for what is let pass in both directions without ct state: let what is not tracked pass before this (ct state untracked accept), or have it tracked: \`${inNetns(netns, 'nft -a list ruleset')} | grep -nE 'notrack|ct state'\` or \`iptables-save -t raw\``,
        ...(known ?? []),
      ];
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
      `find the rule: \`${inNetns(netns, 'nft -a list ruleset')} | grep -nE 'drop|reject'\``,
      `see which it is, in that namespace: \`nft add table inet why && nft 'add chain inet why t { type filter hook ${hook} priority -350; }' && nft add rule inet why t ${nftSelector(flow)} meta nftrace set 1\` Then watch it drop: \`nft monitor trace\` Afterwards: \`nft delete table inet why\``,
      `a policy of drop and a REJECT count too: allow ${from} → ${to} where it should pass`,
    ];
  },
});

/** A rule says not to track it, and the one that drops it would let it pass as part of a connection. */
function untracked({ conntrack }: Drop, told: DroppedBy | null) {
  if (conntrack?.info !== TRACKED.UNTRACKED) return null;
  if (!told?.rules[0] || told.rules[0].regardless) return null;
  return { untracked_by: told.untracked.map(placeText) };
}

/** TPROXY drops what no socket takes for which it could stand. */
function proxied(rule: string, dport: number) {
  const port = rule.match(/\bTPROXY --on-port (\d+)/)?.[1];
  return port === undefined ? null : { proxy_port: Number(port) || dport };
}
