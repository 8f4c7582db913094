// SPDX-License-Identifier: Apache-2.0

import { service } from '../../tcp/service.ts';
import { defineCause } from '../define.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import { segmentOf } from '../shared/segments.ts';
import { SILENCE } from '../shared/silence.ts';

export default defineCause({
  id: 'xfrm-policy',
  title: 'an IPsec policy forbids it',
  severity: 'warning',
  explains:
    'A policy of IPsec (xfrm) on this host asks for a protection that the segment did not have, or blocks it.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop' || known.dropReason(event.body.reason) !== 'XFRM_POLICY') return null;
    const { packet, sock } = event.body;
    return {
      evidence: { ...segmentOf(packet), netns: event.netns },
      basis: 'direct',
      subject: 'flow',
      where: service(packet.flow),
      flow: packet.flow,
      group: `${event.netns} ${service(packet.flow)} ${packet.flow.saddr}`,
      owner: ownerOf(sock?.owner),
    };
  },
  summary: ({ from, to, flags }) =>
    `an IPsec policy does not let [${flags}] ${from} → ${to} in as it came`,
  advice({ netns }, { saddr, daddr }) {
    return [
      `the policies, and what they ask for: \`${inNetns(netns, 'ip -s xfrm policy')}\``,
      `is there an association between ${saddr} and ${daddr}, and does it count? \`${inNetns(netns, 'ip -s xfrm state')}\``,
      `what the kernel counts (XfrmInNoPols, XfrmInTmplMismatch, XfrmInPolBlock): \`${inNetns(netns, 'grep . /proc/net/xfrm_stat')}\``,
    ];
  },
});
