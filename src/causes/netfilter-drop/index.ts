// SPDX-License-Identifier: Apache-2.0

import { defineCause, endpoint, flagsText, ownerOf, service } from '../define.ts';

export default defineCause({
  id: 'netfilter-drop',
  title: 'a firewall rule dropped it',
  severity: 'warning',
  explains: 'A netfilter rule (nftables or iptables) of this host dropped the segment.',
  needs: ['drop'],
  on: ['drop'],
  match(event, known) {
    if (event.kind !== 'drop' || known.dropReason(event.body.reason) !== 'NETFILTER_DROP') return null;
    const { packet, sock } = event.body;
    const { saddr, daddr, sport, dport } = packet.flow;
        return {
      evidence: {
        from: endpoint(saddr, sport),
        to: endpoint(daddr, dport),
        flags: flagsText(packet.flags),
        interface: packet.device || null,
        arrived: packet.ifindex > 0,
        netns: event.netns,
      },
      basis: 'direct',
      subject: 'flow',
      where: service(packet.flow),
      flow: packet.flow,
      group: `${event.netns} ${service(packet.flow)}`,
      owner: ownerOf(sock?.owner),
    };
  },
  summary({ from, to, flags, interface: device, arrived }) {
    const where = arrived ? ` that arrived on ${device ?? 'an unknown interface'}` : ' on its way out';
    return `a rule dropped [${flags}] ${from} → ${to}${where}`;
  },
  advice({ netns, to }, { dport, daddr }) {
    return [
      `find the rule: nft -a list ruleset | grep -n drop; in another namespace: nsenter --net=$(lsns -nt net -o NS,PATH | awk '$1==${netns}{print $2}') nft -a list ruleset`,
      `see it happen: nft add rule inet filter input ip daddr ${daddr} tcp dport ${dport} meta nftrace set 1; nft monitor trace`,
      `a default policy of drop counts too: allow ${to} where it should pass`,
    ];
  },
});
