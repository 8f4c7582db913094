// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import type { Event } from '../../wire/event.ts';
import { defineCause } from '../define.ts';
import { byReason, dropText, forReason, reasonText } from '../shared/by-reason.ts';
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
  NO_SOCKET: 'has none of the flags SYN, ACK and RST, and there is no socket for it',
};

/** A router at which its TTL ends gives the same reason, and answers with an ICMP error. */
function isTooFar(event: Event, known: Knowledge): boolean {
  if (event.kind !== 'drop') return false;
  return /^ip6?_forward/.test(known.symbol(event.body.location)?.name ?? '');
}

/** Every segment has one of them. */
const SOME_FLAG = TCP_FLAG.syn | TCP_FLAG.ack | TCP_FLAG.rst;
const BY_FLAGS = new Set(['TCP_FLAGS', 'NO_SOCKET']);
const SYN_FIN = TCP_FLAG.syn | TCP_FLAG.fin;

/** Nothing that can be: none that a segment has to have, or the begin and the end at once. */
function areSenseless(flags: number, reason: string): boolean {
  return !(flags & SOME_FLAG) || (reason === 'TCP_FLAGS' && (flags & SYN_FIN) === SYN_FIN);
}

export default defineCause({
  id: 'malformed-packet',
  title: 'it is damaged or malformed',
  severity: 'warning',
  explains:
    'A segment was dropped because its headers cannot be right: damaged on the way, or made wrong by a device, driver or tunnel.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop', 'reset_sent'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind === 'reset_sent') {
      const { packet, sock } = event.body;
      const stray = packet && !sock && !(packet.flags & SOME_FLAG);
      return stray ? forReason(packet, 'NO_SOCKET', event.netns) : null;
    }
    if (isTooFar(event, known)) return null;
    const match = byReason(SAYS, event, known);
    // The kernel has these reasons for other segments too.
    const reason = match?.evidence.drop_reason ?? '';
    if (!BY_FLAGS.has(reason) || event.kind !== 'drop') return match;
    return areSenseless(event.body.packet.flags, reason) ? match : null;
  },
  summary: (evidence) =>
    evidence.flags.startsWith('SF')
      ? dropText(evidence, 'has the flags SYN and FIN at once')
      : reasonText(SAYS, evidence),
  advice({ interface: device, netns, drop_reason }, { saddr, daddr }) {
    const dev = deviceName(device) ?? 'DEV';
    if (BY_FLAGS.has(drop_reason))
      return [
        `no TCP sends these, port scanners do (nmap -sN, -sF, -sX, --scanflags SYNFIN): what else comes from ${saddr}? \`${inNetns(netns, `tcpdump -nvi any tcp and host ${saddr}`)}\``,
      ];
    return [
      `what came, byte by byte: \`${inNetns(netns, `tcpdump -ni ${dev} -vvX tcp and host ${saddr} and host ${daddr}`)}\``,
      `does the device count it (crc, length)? \`${inNetns(netns, `ethtool -S ${dev}`)}\``,
      `${saddr} or a tunnel on the way leaves to ${dev} what that does not do: turn its offloads off, one by one: \`${inNetns(netns, `ethtool -K ${dev} gro off lro off rx off`)}\``,
    ];
  },
});
