// SPDX-License-Identifier: Apache-2.0

import { endpoint, local } from '../../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../../tcp/flags.ts';
import { before, distance } from '../../tcp/sequence.ts';
import { isConnection } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { refusedBy } from '../shared/groups.ts';

/** The kernel says TCP_RESET where it asked the peer whether it meant it, the others where it did not. */
const ASKED = 'TCP_RESET';
const REASONS = new Set([
  ASKED,
  'TCP_INVALID_SEQUENCE',
  'TCP_INVALID_END_SEQUENCE',
  'TCP_OLD_SEQUENCE',
  'TCP_OVERWINDOW',
]);

export default defineCause({
  id: 'reset-rejected',
  title: 'a reset that was not believed',
  severity: 'warning',
  explains:
    'A reset for an open connection has another sequence number than the one that comes next, so the kernel does not believe it: the connection goes on.',
  needs: ['refused'],
  on: ['drop'],
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, sock, reason, window_end } = event.body;
    if (!sock || !isConnection(sock.state) || !(packet.flags & TCP_FLAG.rst)) return null;
    const why = known.dropReason(reason);
    if (packet.seq === sock.rcv_nxt || (known.hasDropReasons() && !REASONS.has(why))) return null;
    const beyond = !before(packet.seq, window_end);
    const inWindow = before(sock.rcv_nxt, packet.seq) && !beyond;
    const { saddr, sport } = packet.flow;
    return {
      evidence: {
        local: local(sock.flow),
        peer: endpoint(saddr, sport),
        flags: flagsText(packet.flags),
        seq: packet.seq,
        rcv_nxt: sock.rcv_nxt,
        off_by_bytes: distance(sock.rcv_nxt, packet.seq),
        window_bytes: distance(sock.rcv_nxt, window_end),
        challenged: known.hasDropReasons() ? why === ASKED : inWindow,
        ttl: packet.ttl,
      },
      basis: 'direct',
      ...refusedBy(event.netns, sock, packet),
    };
  },
  summary({ peer, local: here, seq, rcv_nxt, off_by_bytes, challenged }) {
    const off = Number(off_by_bytes);
    const what = challenged ? 'the peer was asked' : 'nobody was told';
    return `${here} did not believe a reset from ${peer}: seq ${seq} is ${Math.abs(off)} bytes ${off < 0 ? 'before' : 'after'} ${rcv_nxt}, which comes next (${what})`;
  },
  advice({ peer, local: here, challenged, ttl }, { saddr, sport, dport }) {
    const asked = challenged
      ? [
          `if ${peer} did mean it, its next reset answers the challenge ACK and has the right number: is that ACK, or the answer, filtered as invalid on the way?`,
        ]
      : [];
    return [
      `is it the peer’s own? A firewall, a balancer or somebody else can send it in its name: compare TTL ${ttl} and IP id with what else comes from there: \`tcpdump -ni any -vvS host ${saddr} and port ${sport} and port ${dport}\``,
      ...asked,
      `the connection of ${here} is open still: if ${saddr} has closed it, it ends by keepalive or by what is sent next: \`ss -tnoe 'sport = :${dport}'\``,
    ];
  },
});
