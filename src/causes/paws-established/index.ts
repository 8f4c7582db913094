// SPDX-License-Identifier: Apache-2.0

import { endpoint, local } from '../../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../../tcp/flags.ts';
import { before, distance, endOf } from '../../tcp/sequence.ts';
import { isConnection } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { refusedBy } from '../shared/groups.ts';
import { SILENCE } from '../shared/silence.ts';

export default defineCause({
  id: 'paws-established',
  title: 'new data with an old timestamp',
  severity: 'warning',
  explains:
    'A segment of an open connection brings new data with an older timestamp than the last one, so the data is refused.',
  seenAs: ['stands-still', 'times-out'],
  packets: true,
  needs: ['refused'],
  on: ['drop'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, sock, reason, remembered } = event.body;
    if (!sock || !isConnection(sock.state) || packet.flags & (TCP_FLAG.syn | TCP_FLAG.rst))
      return null;
    if (known.hasDropReasons() && known.dropReason(reason) !== 'TCP_RFC7323_PAWS') return null;
    if (!remembered || !packet.has_timestamps || !before(packet.tsval, remembered.tsval))
      return null;
    // What the socket has already is an ordinary duplicate, old by nature.
    if (!before(sock.rcv_nxt, endOf(packet))) return null;
    const { saddr, sport } = packet.flow;
    return {
      evidence: {
        local: local(sock.flow),
        peer: endpoint(saddr, sport),
        flags: flagsText(packet.flags),
        payload_bytes: packet.payload_len,
        tsval: packet.tsval,
        last_tsval: remembered.tsval,
        behind: distance(packet.tsval, remembered.tsval),
        last_age_s: remembered.age_s,
        ttl: packet.ttl,
      },
      basis: 'direct',
      ...refusedBy(event.netns, sock, packet),
    };
  },
  summary({ peer, local: here, payload_bytes, tsval, last_tsval, last_age_s }) {
    return `${payload_bytes} new bytes from ${peer} to ${here} refused: TSval ${tsval} is older than ${last_tsval}, ${last_age_s} s ago`;
  },
  advice({ peer, ttl }, { saddr, sport, daddr, dport }) {
    return [
      `do two hosts send on this connection (two machines behind one address, a balancer that moved it)? Compare TTL ${ttl}, IP id and TSval of what arrives: \`tcpdump -ni any -vv host ${saddr} and port ${sport} and port ${dport}\``,
      `something on the way writes timestamps (a proxy, a firewall that randomises them, a host that was moved live)? Compare TSval with what leaves ${peer}. There: \`tcpdump -ni any -vv host ${daddr} and port ${sport} and port ${dport}\``,
      `is it the timestamps at all? New connections have none after this on ${daddr}: \`sysctl -w net.ipv4.tcp_timestamps=0\` Set it back to 1 afterwards`,
    ];
  },
});
