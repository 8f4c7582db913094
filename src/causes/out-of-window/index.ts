// SPDX-License-Identifier: Apache-2.0

import { endpoint, local } from '../../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../../tcp/flags.ts';
import { before, distance, endOf } from '../../tcp/sequence.ts';
import { isConnection } from '../../tcp/states.ts';
import { isShutTo } from '../../tcp/window.ts';
import { defineCause } from '../define.ts';
import { refusedBy } from '../shared/groups.ts';
import { SILENCE } from '../shared/silence.ts';

const REASONS = new Set(['TCP_INVALID_SEQUENCE', 'TCP_INVALID_END_SEQUENCE', 'TCP_OVERWINDOW']);

export default defineCause({
  id: 'out-of-window',
  title: 'a segment from beyond the receive window',
  severity: 'warning',
  explains:
    'A segment of an open connection has a sequence number beyond what this host allowed, so it is refused.',
  seenAs: ['stands-still'],
  needs: ['refused'],
  on: ['drop'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, sock, reason, window_end, remembered } = event.body;
    if (!sock || !isConnection(sock.state) || packet.flags & (TCP_FLAG.syn | TCP_FLAG.rst))
      return null;
    const stale = remembered && packet.has_timestamps && before(packet.tsval, remembered.tsval);
    if (known.hasDropReasons() ? !REASONS.has(known.dropReason(reason)) : stale) return null;
    if (!before(window_end, endOf(packet))) return null;
    // The process here does not read, and the peer asks whether there is room: receiver-not-reading.
    if (isShutTo(event.body)) return null;
    const { saddr, sport } = packet.flow;
    return {
      evidence: {
        local: local(sock.flow),
        peer: endpoint(saddr, sport),
        flags: flagsText(packet.flags),
        seq: packet.seq,
        payload_bytes: packet.payload_len,
        rcv_nxt: sock.rcv_nxt,
        window_bytes: distance(sock.rcv_nxt, window_end),
        beyond_bytes: distance(window_end, endOf(packet)),
        unread_bytes: sock.unread_bytes,
        ttl: packet.ttl,
      },
      basis: 'direct',
      ...refusedBy(event.netns, sock, packet),
    };
  },
  summary({ peer, local: here, flags, seq, beyond_bytes, rcv_nxt, window_bytes }) {
    return `[${flags}] seq ${seq} from ${peer} to ${here} ends ${beyond_bytes} bytes beyond the window (${window_bytes} from ${rcv_nxt})`;
  },
  advice({ peer, ttl, unread_bytes, window_bytes, local: here }, { saddr, sport, dport }) {
    const full =
      Number(window_bytes) === 0 && Number(unread_bytes) > 0
        ? [
            `${here} does not read: ${unread_bytes} bytes wait for its process. \`ss -tmp 'sport = :${dport}'\``,
          ]
        : [];
    return [
      ...full,
      `is it of another connection on the same ports, or of another host? Compare TTL ${ttl}, IP id and seq of what arrives: \`tcpdump -ni any -vvS host ${saddr} and port ${sport} and port ${dport}\``,
      `a firewall or balancer that changes sequence numbers on one way only, or lost its state, does this: take it out between ${peer} and ${here}, and compare seq at both ends`,
    ];
  },
});
