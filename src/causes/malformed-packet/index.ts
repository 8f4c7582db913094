// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../flow/knowledge.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import type { Event } from '../../wire/event.ts';
import { defineCause } from '../define.ts';
import { byReason, reasonText } from '../shared/by-reason.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceName } from '../shared/wording.ts';

const SAYS: Readonly<Record<string, string>> = {
  IP_INHDR: 'has an IP header that cannot be',
  IP_CSUM: 'has a wrong IP header checksum',
  PKT_TOO_SMALL: 'is shorter than its headers say',
  HDR_TRUNC: 'ends within its headers',
  DEV_HDR: 'has a link header that its device cannot read',
  NEIGH_HH_FILLFAIL: 'could not be given a link header for its next hop by its device',
  SKB_CSUM: 'has a checksum that could not be made or checked',
  SKB_BAD_GSO: 'says of itself that it is to be cut up in a way that cannot be',
  TCP_FLAGS: 'has none of the flags SYN, ACK and RST',
  IPV6_BAD_EXTHDR: 'has an IPv6 extension header that cannot be',
  IPV6_TOO_MANY_EXTHDRS: 'has more IPv6 extension headers than this host takes',
};

/** A router at which its TTL ends gives the same reason, and answers with an ICMP error. */
function isTooFar(event: Event, known: Knowledge): boolean {
  if (event.kind !== 'drop') return false;
  return /^ip6?_forward/.test(known.symbol(event.body.location)?.name ?? '');
}

/** Every segment has one of them. */
const SOME_FLAG = TCP_FLAG.syn | TCP_FLAG.ack | TCP_FLAG.rst;

export default defineCause({
  id: 'malformed-packet',
  title: 'it is damaged or malformed',
  severity: 'warning',
  explains:
    'A segment was dropped because its headers cannot be right: damaged on the way, or made wrong by a device, driver or tunnel.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match(event, known) {
    if (isTooFar(event, known)) return null;
    const match = byReason(SAYS, event, known);
    // The kernel has that reason for other segments too.
    if (match?.evidence.drop_reason !== 'TCP_FLAGS' || event.kind !== 'drop') return match;
    return event.body.packet.flags & SOME_FLAG ? null : match;
  },
  summary: (evidence) => reasonText(SAYS, evidence),
  advice({ interface: device, netns }, { saddr, daddr }) {
    const dev = deviceName(device) ?? 'DEV';
    return [
      `what came, byte by byte: \`${inNetns(netns, `tcpdump -ni ${dev} -vvX tcp and host ${saddr} and host ${daddr}`)}\``,
      `does the device count it (crc, length)? \`${inNetns(netns, `ethtool -S ${dev}`)}\``,
      `${saddr} or a tunnel on the way leaves to ${dev} what that does not do: turn its offloads off, one by one: \`${inNetns(netns, `ethtool -K ${dev} gro off lro off rx off`)}\``,
    ];
  },
});
