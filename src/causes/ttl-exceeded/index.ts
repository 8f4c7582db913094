// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { familyOf } from '../../tcp/address.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { flagsText } from '../../tcp/flags.ts';
import type { Drop } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { whereabouts } from '../shared/conntrack.ts';
import { functionName, NO_REASON } from '../shared/kernel.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceName } from '../shared/wording.ts';

export default defineCause({
  id: 'ttl-exceeded',
  title: 'its TTL ended here',
  severity: 'warning',
  explains:
    'A segment that this host was to send on came in with the last of its TTL: it goes round in a routing loop, or its sender gave it too little.',
  seenAs: ['connect-unreachable', 'times-out'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: [...SILENCE, 'icmp-unreachable'],
  match(event, known) {
    if (event.kind !== 'drop' || !endsHere(event.body, known)) return null;
    const { packet, next_hop, ttl_before } = event.body;
    const { saddr, sport, daddr, dport } = packet.flow;
    const { arrived_on } = whereabouts(event.body, event.netns, known);
    const goes_by = next_hop?.device || null;
    const comes_again = ttl_before > packet.ttl;
    return {
      evidence: {
        from: endpoint(saddr, sport),
        to: endpoint(daddr, dport),
        flags: flagsText(packet.flags),
        ttl: packet.ttl,
        ttl_before: comes_again ? ttl_before : null,
        arrived_on,
        next_hop: next_hop?.addr ?? null,
        goes_by,
        goes_back: goes_by !== null && goes_by === arrived_on,
        netns: event.netns,
      },
      basis: 'direct',
      subject: 'host',
      where: daddr,
      flow: packet.flow,
      group: `${event.netns} ${daddr}`,
      owner: null,
      ...(comes_again && { severity: 'error' as const }),
    };
  },
  summary({ from, to, flags, ttl_before, arrived_on, next_hop, goes_by, goes_back }) {
    const segment = `[${flags}] ${from} → ${to}`;
    const hop =
      next_hop === null ? '' : `, on its way to ${next_hop}${goes_by ? ` by ${goes_by}` : ''}`;
    if (ttl_before !== null)
      return `${segment} goes round in a routing loop: it had come here before with TTL ${ttl_before}, and its TTL has ended now${hop}`;
    const came = arrived_on === null ? '' : ` It came in by ${arrived_on}`;
    if (goes_back)
      return `the TTL of ${segment} ended here.${came} and was to leave by it again${next_hop === null ? '' : `, to ${next_hop}`}: a routing loop, unless its sender gave it too little`;
    return `the TTL of ${segment} ended here${hop}: it goes round in a routing loop, or its sender gave it too little`;
  },
  advice({ ttl_before, arrived_on, next_hop, goes_back, netns }, { saddr, daddr }) {
    const came = deviceName(arrived_on);
    const here = `\`${inNetns(netns, `ip route get ${daddr}${came ? ` from ${saddr} iif ${came}` : ''}`)}\``;
    const there = next_hop === null || next_hop === daddr ? 'the next hop' : next_hop;
    const circle = `two routers that send it to each other, or a circle of them: where this one sends it: ${here} and the same on ${there}: \`ip route get ${daddr}\``;
    const seen = `from ${saddr}, the hops that come again are those of the loop: \`tracepath -n ${daddr}\``;
    if (ttl_before !== null) return [circle, seen];
    const six = familyOf(daddr) === 6;
    const setting = six ? 'net.ipv6.conf.all.hop_limit' : 'net.ipv4.ip_default_ttl';
    const low = `no hop comes again: ${saddr} sends with too low a TTL (${six ? 'IPV6_UNICAST_HOPS' : 'IP_TTL'} of its program; a traceroute by TCP does so on purpose; \`sysctl ${setting}\` there), or a rule on the way lowers it: \`nft list ruleset | grep -nE 'ttl|hoplimit'\``;
    return goes_back ? [circle, seen, low] : [seen, circle, low];
  },
});

const FORWARDING = new Set(['ip_forward', 'ip6_forward']);

function endsHere({ packet, reason, location }: Drop, known: Knowledge): boolean {
  const name = known.dropReason(reason);
  const by = functionName(location, known);
  return (
    FORWARDING.has(by) &&
    packet.ttl <= 1 &&
    packet.ifindex > 0 &&
    (name === 'IP_INHDR' || name === NO_REASON)
  );
}
