// SPDX-License-Identifier: Apache-2.0

import { local, remote } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { servedAtSource, service } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Flow, Packet, Sock } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { addressOf, listEntries, redirectAdvice, resetFromElsewhere } from '../shared/conntrack.ts';
import { byPeer } from '../shared/groups.ts';
import { type Moved, movedAdvice, movedSince, movedText } from '../shared/mac.ts';
import { ownerOf } from '../shared/processes.ts';
import { otherSender, type ResetSender, resetAsCaptured } from '../shared/reset-sender.ts';
import { seconds, word } from '../shared/wording.ts';

export default defineCause({
  id: 'reset-by-peer',
  title: 'the other side reset the connection',
  severity: 'warning',
  explains:
    'The other side ended an open connection with a reset; its shape tells a closing process from a kernel without the socket.',
  seenAs: ['first-request-fails', 'reset', 'fails-after-pause'],
  packets: true,
  needs: ['reset_received'],
  on: ['reset_received'],
  // What the peer, which did not send it, goes on to send.
  leadsTo: ['connection-unknown'],
  match(event, known) {
    if (event.kind !== 'reset_received' || event.body.sock.state === TCP_STATE.SYN_SENT)
      return null;
    const { sock, packet, handshake_ttl, silent_ms, unused, mac_change } = event.body;
    const moved = movedSince(mac_change, silent_ms);
    const sent_by = packet ? senderOf(packet.window, packet.has_timestamps === 1) : 'unknown';
    const closed_last =
      sock.state === TCP_STATE.LAST_ACK && sock.unacked_bytes === 0 && sent_by === NO_SOCKET;
    const captured = resetAsCaptured(
      known.captured(sock.flow, event)?.reset,
      handshake_ttl || null,
    );
    const by_another = otherSender({
      reset_ttl: packet?.ttl ?? null,
      handshake_ttl: handshake_ttl || null,
      ...captured,
    });
    const peer_had_closed = PEER_HAD_CLOSED.has(sock.state) && sock.unacked_bytes > 0;
    const acknowledged = acknowledges(packet, sock);
    const closed_here =
      CLOSED_HERE.has(sock.state) &&
      sent_by === CLOSING &&
      (sock.unacked_bytes === 0 || acknowledged);
    const forgot_after_fin = sock.state === TCP_STATE.CLOSE_WAIT && sent_by === NO_SOCKET;
    // What has neither sent nor heard anything for so long was not refused: it was forgotten.
    const unused_at_once = unused === 1 && !(sent_by === NO_SOCKET && silent_ms >= FORGOTTEN_MS);
    const redirected_to = resetFromElsewhere(event.body);
    // What is said of it; those of which the same is said are one finding.
    const shape = moved
      ? 'moved'
      : by_another
        ? 'by another'
        : closed_last
          ? 'last'
          : (peer_had_closed && sent_by === NO_SOCKET) || forgot_after_fin
            ? `had closed${peer_had_closed ? '' : ', and no more was sent'}`
            : unused_at_once
              ? 'unused'
              : closed_here
                ? 'closed here'
                : sent_by;
    return {
      evidence: {
        peer: remote(sock.flow),
        local: local(sock.flow),
        ...(redirected_to !== null && { redirected_to, netns: event.netns }),
        sent_by,
        reset_window: packet?.window ?? null,
        reset_timestamps: packet ? packet.has_timestamps === 1 : null,
        reset_ttl: packet?.ttl ?? null,
        handshake_ttl: handshake_ttl || null,
        ...captured,
        silent_ms: silent_ms || null,
        ...(moved && { moved }),
        unread_bytes: sock.unread_bytes,
        unacked_bytes: sock.unacked_bytes,
        ...(sock.unacked_bytes > 0 && acknowledged && { acknowledged_by_reset: true }),
        ...(peer_had_closed && { peer_had_closed }),
        ...(!peer_had_closed && forgot_after_fin && { forgot_after_fin }),
        ...(closed_last && { closed_last }),
        ...(closed_here && { closed_here }),
        ...(unused_at_once && { unused: true, by_client: servedAtSource(sock.flow) }),
      },
      basis: 'direct',
      subject: 'flow',
      where: service(sock.flow),
      flow: sock.flow,
      group: `${byPeer(event.netns, sock.flow)} ${shape}${redirected_to === null ? '' : ` ${redirected_to}`}`,
      owner: ownerOf(sock.owner),
      // So do the health checks of balancers.
      ...(unused_at_once && servedAtSource(sock.flow) && { severity: 'info' }),
      // Nothing is lost by it: both ends had closed.
      ...(shape === 'last' && { severity: 'info' }),
      // A service that has answered and closed waits for nothing; a client may have shut down its direction only.
      ...(shape === 'closed here' && servedAtSource(sock.flow) && { severity: 'info' }),
      ...(sock.unacked_bytes > 0 && { had_more: true as const }),
      began_ns: event.ktime_ns - ROUND_TRIP_NS,
    };
  },
  summary(evidence, { daddr }) {
    const { local: here, sent_by, silent_ms, moved } = evidence;
    const { peer_had_closed, forgot_after_fin, closed_last, closed_here } = evidence;
    const { unused, by_client, redirected_to } = evidence;
    const by_another = otherSender(evidence);
    const peer =
      redirected_to === undefined
        ? evidence.peer
        : `${evidence.peer}, translated by this host to ${redirected_to},`;
    if (!moved && closed_last && !by_another)
      return `${peer} had closed the connection${ago(silent_ms)}, and had forgotten it when ${here} closed it too`;
    if (!moved && peer_had_closed && sent_by !== CLOSING && !by_another)
      return `${peer} had closed the connection${ago(silent_ms)}, and reset what ${here} sent after that`;
    if (!moved && unused && !by_another)
      return by_client
        ? `${peer} connected and reset the connection before either end had sent anything`
        : `${peer} took the connection and reset it before either end had sent anything`;
    if (!moved && forgot_after_fin && !by_another)
      return `${peer} had closed the connection${ago(silent_ms)}, knows it no more, and reset what ${here} has not closed yet`;
    if (!moved && closed_here && !by_another)
      return `${here} had closed the connection first, and ${peer}, which had got all of it, closed it too, with a reset instead of a FIN`;
    const idle = wasIdle(silent_ms) ? ` after ${seconds(silent_ms)} of silence` : '';
    if (moved) return `${peer} reset the connection${idle}: ${movedText(moved, daddr)}`;
    if (by_another)
      return `${peer} reset the connection${idle}: ${by_another}: a box on the way sent it, or the path has changed`;
    return sent_by === 'unknown'
      ? `${peer} reset the connection${idle}`
      : `${peer} reset the connection${idle}: sent by ${sent_by}`;
  },
  advice(evidence, flow) {
    const { peer: dialled, redirected_to, netns } = evidence;
    if (redirected_to === undefined || netns === undefined) return adviceOf(evidence, flow);
    // What this host translates is another host, which may never have heard of what was dialled.
    return [
      ...adviceOf(
        { ...evidence, peer: redirected_to },
        { ...flow, daddr: addressOf(redirected_to) },
      ),
      redirectAdvice(netns, dialled),
    ];
  },
});

interface Told extends ResetSender {
  peer: string;
  local: string;
  sent_by: string;
  silent_ms: number | null;
  moved?: Moved;
  unacked_bytes: number;
  acknowledged_by_reset?: boolean;
  peer_had_closed?: boolean;
  forgot_after_fin?: boolean;
  closed_last?: boolean;
  closed_here?: boolean;
  unused?: boolean;
  by_client?: boolean;
}

function adviceOf(evidence: Told, flow: Flow): string[] {
  const { local: at, peer, sent_by, unacked_bytes, acknowledged_by_reset } = evidence;
  const { reset_ttl, handshake_ttl, peer_ttl, reset_mac, peer_mac } = evidence;
  const { silent_ms, moved, unused, by_client } = evidence;
  const { peer_had_closed, forgot_after_fin, closed_last, closed_here } = evidence;
  const { saddr, daddr, sport } = flow;
  // A client has another port each time.
  const watched = word(servedAtSource(flow) ? at : peer);
  const lost =
    unacked_bytes > 0
      ? [
          acknowledged_by_reset
            ? `the host of ${peer} had got all that ${at} had sent, as the reset says; what its process had written and was still to be sent is lost, and whether ${peer} has read the rest is not known`
            : `${unacked_bytes} bytes that ${at} sent were not acknowledged: ${peer} may not have read them`,
        ]
      : [];
  const forgotten = wasIdle(silent_ms)
    ? [
        `nothing had come from ${peer} for ${seconds(silent_ms)}: a NAT, firewall or balancer between forgets connections that are idle, and resets what comes then: have ${at} or ${peer} send keepalive sooner (TCP_KEEPIDLE on the socket, net.ipv4.tcp_keepalive_time); on a Linux hop: \`${listEntries(saddr, `-s ${saddr}`)}\` and net.netfilter.nf_conntrack_tcp_timeout_established`,
      ]
    : [];
  if (moved) return [...movedAdvice(moved, daddr), ...lost];
  if (otherSender(evidence)) {
    const before_ttl = peer_ttl ?? handshake_ttl;
    const hop =
      reset_ttl === null || reset_ttl === before_ttl
        ? []
        : [
            `which hop is it? The reset came with TTL ${reset_ttl}, the peer’s ${peer_ttl === undefined ? 'handshake' : 'segment before'} with ${before_ttl}: \`tracepath -n ${daddr}\` A firewall, NAT or balancer resets in the name of ${peer}: look there first`,
          ];
    const link =
      reset_mac === peer_mac
        ? []
        : [
            `whose is ${reset_mac}? Where this was captured: \`ip neigh | grep ${reset_mac}\` It passed the reset on, or made it; the segments of ${peer} before came by ${peer_mac}`,
          ];
    return [
      ...hop,
      ...link,
      ...forgotten,
      `did ${peer} send it after all? Run there: \`tcpwhy trace ${watched}\``,
      ...lost,
    ];
  }
  if (closed_last) {
    return [
      `nothing is lost by it. But the process at ${at} was late: what its peers have closed is CLOSE_WAIT until it closes too, and takes a file each. How many are there? \`ss -tanp state close-wait 'sport = :${sport}'\``,
      `${peer} waits for it no longer than its net.ipv4.tcp_fin_timeout`,
    ];
  }
  if (peer_had_closed && sent_by !== CLOSING && servedAtSource(flow)) {
    return [
      `${peer} is a client, and closed before ${at} had said all: it gave up (a timeout of its own, a cancelled request), or had what it wanted. How long did ${at} take to answer? nginx writes 499 of it`,
      `why did it close? On ${daddr}: \`tcpwhy trace ${word(at)}\` Harmless where clients leave early on purpose`,
      `${at} had the end of the connection (a FIN) before it sent: its process may stop when it reads that, where nobody waits for the answer`,
      ...lost,
    ];
  }
  if (peer_had_closed && sent_by !== CLOSING) {
    return [
      `${at} had the end of the connection (a FIN) before it sent: its process has to read the end of the stream, and not use such a connection again. A pool of connections asks before each use whether one is readable, or keeps one idle for less long than ${peer} does (keepalive_timeout of nginx, keepAliveTimeout of Node, wait_timeout of MySQL)`,
      `what it sent may safely be sent again on another connection only if it may happen twice: ${peer} did not read it`,
      `why did ${peer} close? Its idle limit, an error, a restart, or it takes nobody now (too many connections, an access list, a proxy whose own server is down): look in its log, or run there: \`tcpwhy trace ${word(peer)}\``,
      ...lost,
    ];
  }
  if (forgot_after_fin) {
    return [
      `nothing that ${at} sent is lost; what its process still wants to send is. It had the end of the connection (a FIN) and has not closed: let it close when it reads that. What its peers have closed is CLOSE_WAIT until then: \`ss -tanp state close-wait\``,
      `${peer} waits no longer than its net.ipv4.tcp_fin_timeout, or not at all (TCP_LINGER2 below 0). There: \`tcpwhy trace ${watched}\``,
    ];
  }
  if (closed_here) {
    return [
      servedAtSource(flow)
        ? `nothing is to be done at ${at}. Load generators, balancers and health checks close so (SO_LINGER 0), in order to leave no TIME_WAIT; or ${peer} did not read all that it had got. Which it is: on ${daddr}: \`tcpwhy trace ${word(at)}\``
        : `did the process at ${at} shut down only its own direction (SHUT_WR), and wait for the answer? Then that is lost: why did ${peer} close? Look in its log for this time, or run there: \`tcpwhy trace ${word(peer)}\``,
      ...(servedAtSource(flow) ? [] : ['where it had closed, nothing is lost by it']),
    ];
  }
  if (unused && by_client) {
    return [
      `a health check of a balancer, or a port scan, does this (it closes with SO_LINGER 0), and then it is harmless: what runs on ${daddr}?`,
      `or a client that gave up before it sent: had it waited long for an answer? On ${daddr}: \`tcpwhy trace ${word(at)}\``,
    ];
  }
  if (sent_by === NO_SOCKET) {
    return [
      ...forgotten,
      `${peer}: was the ${servedAtSource(flow) ? 'client' : 'service'} restarted, had it closed the connection with a FIN that was lost, or did a balancer move the connection to a host that does not have it? Run there: \`tcpwhy trace ${watched}\``,
      ...lost,
    ];
  }
  return [
    `the process at ${peer} closed or aborted: look in its log for this time, or run there: \`tcpwhy trace ${watched}\``,
    ...(servedAtSource(flow)
      ? [
          `does ${at} speak first (MySQL, SMTP, SSH), and does a balancer check its health at ${daddr}? A check that only connects closes with the greeting unread, which is this reset: harmless, but ${at} may log it as an error, and MySQL refuse ${daddr} after max_connect_errors of them (FLUSH HOSTS). Let it check by the protocol (option mysql-check of HAProxy), or read before it closes`,
        ]
      : []),
    ...lost,
  ];
}

/** The reset of a socket says what had arrived. */
function acknowledges(packet: Packet | null, { snd_nxt }: Sock): boolean {
  return packet !== null && (packet.flags & TCP_FLAG.ack) !== 0 && packet.ack_seq === snd_nxt;
}

/** Longer than a reset takes that answers what was sent. */
const ROUND_TRIP_NS = 2e9;

/** Its FIN was here before the reset. */
const PEER_HAD_CLOSED: ReadonlySet<number> = new Set([
  TCP_STATE.CLOSE_WAIT,
  TCP_STATE.LAST_ACK,
  TCP_STATE.CLOSING,
]);

/** Its own FIN was sent before the reset came. */
const CLOSED_HERE: ReadonlySet<number> = new Set([TCP_STATE.FIN_WAIT1, TCP_STATE.FIN_WAIT2]);

/** Longer than the end of a handshake takes that a full queue refuses. */
const FORGOTTEN_MS = 1000;

const AT_ONCE_MS = 100;

/** The FIN was the last that came. */
const ago = (silent_ms: number | null) =>
  silent_ms === null || silent_ms < AT_ONCE_MS ? '' : ` ${seconds(silent_ms)} before`;

/** Longer than an answer on its way takes, and its first retransmissions. */
const IDLE_MS = 3000;

const wasIdle = (silent_ms: number | null): silent_ms is number =>
  silent_ms !== null && silent_ms >= IDLE_MS;

const CLOSING = 'a closing process';
const NO_SOCKET = 'a kernel without the socket';

/** A reset that answers a packet has no window and no timestamps; a closing socket sends both. */
function senderOf(window: number, timestamps: boolean): string {
  return window > 0 || timestamps ? CLOSING : NO_SOCKET;
}
