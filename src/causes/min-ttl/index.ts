// SPDX-License-Identifier: Apache-2.0

import { familyOf } from '../../tcp/address.ts';
import { service } from '../../tcp/service.ts';
import { defineCause } from '../define.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import { segmentOf } from '../shared/segments.ts';
import { SILENCE } from '../shared/silence.ts';

export default defineCause({
  id: 'min-ttl',
  title: 'it came from too far away for its socket',
  severity: 'warning',
  explains:
    'A segment was dropped because its TTL is lower than its socket accepts (IP_MINTTL; “TTL security” of BGP).',
  seenAs: ['connect-hangs'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop' || known.dropReason(event.body.reason) !== 'TCP_MINTTL') return null;
    const { packet, sock } = event.body;
    return {
      evidence: { ...segmentOf(packet), ttl: packet.ttl, netns: event.netns },
      basis: 'direct',
      subject: 'flow',
      where: service(packet.flow),
      flow: packet.flow,
      group: `${event.netns} ${service(packet.flow)} ${packet.flow.saddr}`,
      owner: ownerOf(sock?.owner),
    };
  },
  summary: ({ from, to, flags, ttl }) =>
    `[${flags}] ${from} → ${to} arrived with TTL ${ttl}, which is less than the socket here accepts`,
  advice({ to, ttl, netns }, { saddr, daddr }) {
    const option = familyOf(saddr) === 6 ? 'IPV6_MINHOPCOUNT' : 'IP_MINTTL';
    const trace = inNetns(netns, `tracepath -n ${saddr}`);
    return [
      `how many hops is ${saddr} away? A sender that means TTL security starts with 255, others with 64: \`${trace}\``,
      `the process that has the socket of ${to} set ${option} (“ttl-security hops” of a neighbour): at most ${ttl} lets this segment in`,
      `the sender has to start with TTL 255: on ${saddr}, the same setting for the neighbour ${daddr}`,
    ];
  },
});
