// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { LOOPBACK_IFINDEX } from '../../tcp/loopback.ts';
import { service } from '../../tcp/service.ts';
import type { Drop } from '../../wire/types.gen.ts';
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
    'A policy of IPsec (xfrm) on this host asks for a protection that the segment did not have, or that is not set up yet; or it blocks it.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const waits = waitsForAssociation(event.body, known);
    if (!waits && known.dropReason(event.body.reason) !== 'XFRM_POLICY') return null;
    const { packet, sock, sender } = event.body;
    return {
      evidence: {
        ...segmentOf(packet),
        ...(waits && { no_association: true }),
        netns: event.netns,
      },
      basis: waits ? 'inferred' : 'direct',
      subject: 'flow',
      where: service(packet.flow),
      flow: packet.flow,
      group: `${event.netns} ${service(packet.flow)} ${packet.flow.saddr}`,
      owner: ownerOf(sock?.owner) ?? ownerOf(sender ?? undefined),
    };
  },
  summary: ({ from, to, flags, no_association }) =>
    no_association
      ? `an IPsec policy asks for protection of [${flags}] ${from} → ${to}, and no association gives it: it was dropped`
      : `an IPsec policy does not let [${flags}] ${from} → ${to} in as it came`,
  advice({ netns, no_association }, { saddr, daddr }) {
    return [
      ...(no_association
        ? [
            `does the daemon that makes associations (IKE: strongSwan, Libreswan) run, and does it reach its peer? \`${inNetns(netns, 'ip xfrm state')}\` has none for ${saddr} → ${daddr}; its own log says why. Without such a daemon: remove the policy`,
          ]
        : []),
      `the policies, and what they ask for: \`${inNetns(netns, 'ip -s xfrm policy')}\``,
      `is there an association between ${saddr} and ${daddr}, and does it count? \`${inNetns(netns, 'ip -s xfrm state')}\``,
      `what the kernel counts (XfrmInNoPols, XfrmInTmplMismatch, XfrmInPolBlock, XfrmOutNoStates): \`${inNetns(netns, 'grep . /proc/net/xfrm_stat')}\``,
    ];
  },
});

/** What this host sends meanwhile has a route of loopback that throws everything away. */
function waitsForAssociation({ packet, route_ifindex, location }: Drop, known: Knowledge): boolean {
  return (
    known.symbol(location)?.name === 'dst_discard_out' &&
    packet.ifindex === 0 &&
    route_ifindex === LOOPBACK_IFINDEX
  );
}
