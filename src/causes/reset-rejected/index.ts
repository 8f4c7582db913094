// SPDX-License-Identifier: Apache-2.0

import { endpoint, local, remote } from '../../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../../tcp/flags.ts';
import { before, distance } from '../../tcp/sequence.ts';
import { reversed } from '../../tcp/service.ts';
import { isConnection, TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { byService, refusedBy } from '../shared/groups.ts';
import { NO_REASON } from '../shared/kernel.ts';
import { ownerOf } from '../shared/processes.ts';

/** The kernel says TCP_RESET where it asked the peer whether it meant it, the others where it did not. */
const ASKED = 'TCP_RESET';
const REASONS = new Set([
  ASKED,
  'TCP_INVALID_SEQUENCE',
  'TCP_INVALID_END_SEQUENCE',
  'TCP_OLD_SEQUENCE',
  'TCP_OVERWINDOW',
  // Of a connection that Fast Open has opened, before its third ACK.
  'TCP_FASTOPEN',
]);

/** The same of a connect: a reset that it believes is no drop. Older kernels do not say. */
const OF_CONNECT = new Set(['TCP_INVALID_ACK_SEQUENCE', ASKED, NO_REASON]);

type Rejected = {
  local: string;
  peer: string;
  flags: string;
  seq: number;
  /** Null of a half-open connection, of which the kernel names only the listener. */
  rcv_nxt: number | null;
  off_by_bytes: number | null;
  window_bytes: number | null;
  challenged: boolean;
  half_open: boolean;
  /** Of a connect: what was sent, and what the reset acknowledges; null where it acknowledges nothing. */
  connecting?: boolean;
  sent_up_to?: number;
  acknowledges?: number | null;
  ttl: number;
};

export default defineCause<Rejected>({
  id: 'reset-rejected',
  title: 'a reset that was not believed',
  severity: 'warning',
  explains:
    'A reset for an open connection has another sequence number than the one that comes next, or one for a connect does not acknowledge its SYN, so the kernel does not believe it: the connection goes on.',
  seenAs: ['connect-hangs', 'stands-still'],
  packets: true,
  needs: ['refused'],
  on: ['drop'],
  // Of a connect, which would have been refused at once.
  leadsTo: ['connect-given-up', 'connect-timeout', 'syn-resent'],
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, sock, reason, window_end, mib } = event.body;
    if (!sock || !(packet.flags & TCP_FLAG.rst)) return null;
    const why = known.dropReason(reason);
    if (sock.state === TCP_STATE.LISTEN) {
      // The listener is asked for a request of its own; a reset to itself has the reason TCP_RESET.
      const challenged = (mib?.tcp_challenge_ack ?? 0) > 0 && !mib?.embryonic_rsts && !mib?.mixed;
      if (!challenged && (why === ASKED || !REASONS.has(why))) return null;
      return {
        evidence: {
          local: endpoint(packet.flow.daddr, packet.flow.dport),
          peer: endpoint(packet.flow.saddr, packet.flow.sport),
          flags: flagsText(packet.flags),
          seq: packet.seq,
          rcv_nxt: null,
          off_by_bytes: null,
          window_bytes: null,
          challenged,
          half_open: true,
          ttl: packet.ttl,
        },
        basis: 'direct',
        ...refusedBy(event.netns, { ...sock, flow: reversed(packet.flow) }, packet),
      };
    }
    if (sock.state === TCP_STATE.SYN_SENT) {
      const acknowledges = packet.flags & TCP_FLAG.ack ? packet.ack_seq : null;
      if (!OF_CONNECT.has(why) || acknowledges === sock.snd_nxt) return null;
      return {
        evidence: {
          local: local(sock.flow),
          peer: endpoint(packet.flow.saddr, packet.flow.sport),
          flags: flagsText(packet.flags),
          seq: packet.seq,
          rcv_nxt: null,
          off_by_bytes: null,
          window_bytes: null,
          challenged: false,
          half_open: false,
          connecting: true,
          sent_up_to: sock.snd_nxt,
          acknowledges,
          ttl: packet.ttl,
        },
        basis: 'direct',
        subject: 'flow',
        where: remote(sock.flow),
        flow: sock.flow,
        group: byService(event.netns, sock.flow),
        owner: ownerOf(sock.owner),
      };
    }
    if (!isConnection(sock.state)) return null;
    if (packet.seq === sock.rcv_nxt || (known.hasDropReasons() && !REASONS.has(why))) return null;
    const beyond = !before(packet.seq, window_end);
    const inWindow = before(sock.rcv_nxt, packet.seq) && !beyond;
    const { saddr, sport } = packet.flow;
    const challenged = known.hasDropReasons() ? why === ASKED : inWindow;
    const refused = refusedBy(event.netns, sock, packet);
    return {
      evidence: {
        local: local(sock.flow),
        peer: endpoint(saddr, sport),
        flags: flagsText(packet.flags),
        seq: packet.seq,
        rcv_nxt: sock.rcv_nxt,
        off_by_bytes: distance(sock.rcv_nxt, packet.seq),
        window_bytes: distance(sock.rcv_nxt, window_end),
        challenged,
        half_open: false,
        ttl: packet.ttl,
      },
      basis: 'direct',
      ...refused,
      group: `${refused.group}${challenged ? ' asked' : ''}`,
    };
  },
  summary(evidence) {
    const { peer, local: here, seq, rcv_nxt, off_by_bytes, challenged } = evidence;
    if (evidence.connecting) {
      const { acknowledges, sent_up_to } = evidence;
      const what =
        acknowledges === null
          ? 'it acknowledges nothing'
          : `it acknowledges ${acknowledges} where ${sent_up_to} was sent`;
      return `${here} did not believe the reset with which ${peer} answered its SYN (${what}), so the connect goes on`;
    }
    const what = challenged ? 'the peer was asked' : 'nobody was told';
    if (off_by_bytes === null)
      return `${here} did not believe a reset from ${peer} for a half-open connection: seq ${seq} is not what comes next (${what})`;
    const off = off_by_bytes;
    return `${here} did not believe a reset from ${peer}: seq ${seq} is ${Math.abs(off)} bytes ${off < 0 ? 'before' : 'after'} ${rcv_nxt}, which comes next (${what})`;
  },
  advice(evidence, { saddr, sport, daddr, dport }) {
    const { peer, local: here, challenged, half_open, connecting, ttl } = evidence;
    if (connecting)
      return [
        `${peer} refuses, or a box on the way does, with a reset that is made wrongly: one for a SYN has to acknowledge its number + 1. What made it? Its TTL is ${ttl}: \`tcpdump -nSvi any 'host ${daddr} and tcp port ${dport}'\` An own TCP of a device, a firewall or a balancer: look for an update of it`,
        `${here} sends its SYN again until it gives up, where it would have been refused at once: does anything listen on ${peer}, and may it be dialled from ${saddr}? There: \`ss -ltn 'sport = :${dport}'\``,
        `or it is the late answer of ${peer} to an earlier connect from the same port: then the next answer is the right one`,
      ];
    const asked = challenged
      ? [
          `if ${peer} did mean it, its next reset answers the challenge ACK and has the right number: is that ACK, or the answer, filtered as invalid on the way?`,
        ]
      : [];
    return [
      `is it the peer’s own? A firewall, a balancer or somebody else can send it in its name: compare TTL ${ttl} and IP id with what else comes from there: \`tcpdump -ni any -vvS host ${saddr} and port ${sport} and port ${dport}\``,
      ...asked,
      half_open
        ? `the half-open connection of ${here} goes on, and its SYN-ACK is sent again: \`ss -tn state syn-recv 'sport = :${dport}'\``
        : `the connection of ${here} is open still: if ${saddr} has closed it, it ends by keepalive or by what is sent next: \`ss -tnoe 'sport = :${dport}'\``,
    ];
  },
});
