// SPDX-License-Identifier: Apache-2.0

import { local, remote } from '../../tcp/endpoint.ts';
import { service } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { byPeer } from '../shared/groups.ts';
import { movedAdvice, movedSince, movedText } from '../shared/mac.ts';
import { ownerOf } from '../shared/processes.ts';
import { seconds, word } from '../shared/wording.ts';

export default defineCause({
  id: 'reset-by-peer',
  title: 'the other side reset the connection',
  severity: 'warning',
  explains:
    'The other side ended an open connection with a reset; its shape tells a closing process from a kernel without the socket.',
  needs: ['reset_received'],
  on: ['reset_received'],
  // What the peer, which did not send it, goes on to send.
  leadsTo: ['connection-unknown'],
  match(event) {
    if (event.kind !== 'reset_received' || event.body.sock.state === TCP_STATE.SYN_SENT)
      return null;
    const { sock, packet, handshake_ttl, silent_ms, mac_change } = event.body;
    const moved = movedSince(mac_change, silent_ms);
    return {
      evidence: {
        peer: remote(sock.flow),
        local: local(sock.flow),
        sent_by: packet ? senderOf(packet.window, packet.has_timestamps === 1) : 'unknown',
        reset_window: packet?.window ?? null,
        reset_timestamps: packet ? packet.has_timestamps === 1 : null,
        reset_ttl: packet?.ttl ?? null,
        handshake_ttl: handshake_ttl || null,
        silent_ms: silent_ms || null,
        ...(moved && { moved }),
        unread_bytes: sock.unread_bytes,
        unacked_bytes: sock.unacked_bytes,
      },
      basis: 'direct',
      subject: 'flow',
      where: service(sock.flow),
      flow: sock.flow,
      group: byPeer(event.netns, sock.flow),
      owner: ownerOf(sock.owner),
    };
  },
  summary({ peer, sent_by, reset_ttl, handshake_ttl, silent_ms, moved }, { daddr }) {
    const idle = wasIdle(silent_ms) ? ` after ${seconds(silent_ms)} of silence` : '';
    if (moved) return `${peer} reset the connection${idle}: ${movedText(moved, daddr)}`;
    if (isOfAnother(reset_ttl, handshake_ttl))
      return `${peer} reset the connection${idle}: TTL ${reset_ttl}, the handshake had ${handshake_ttl}: a box on the way sent it, or the path has changed`;
    return sent_by === 'unknown'
      ? `${peer} reset the connection${idle}`
      : `${peer} reset the connection${idle}: sent by ${sent_by}`;
  },
  advice(
    { local: at, peer, sent_by, unacked_bytes, reset_ttl, handshake_ttl, silent_ms, moved },
    { saddr, daddr },
  ) {
    const lost =
      unacked_bytes > 0
        ? [
            `${unacked_bytes} bytes that ${at} sent were not acknowledged: ${peer} may not have read them`,
          ]
        : [];
    const forgotten = wasIdle(silent_ms)
      ? [
          `nothing had come from ${peer} for ${seconds(silent_ms)}: a NAT, firewall or balancer between forgets connections that are idle, and resets what comes then: have ${at} or ${peer} send keepalive sooner (TCP_KEEPIDLE on the socket, net.ipv4.tcp_keepalive_time); on a Linux hop: \`conntrack -L -p tcp -s ${saddr}\` and net.netfilter.nf_conntrack_tcp_timeout_established`,
        ]
      : [];
    if (moved) return [...movedAdvice(moved, daddr), ...lost];
    if (isOfAnother(reset_ttl, handshake_ttl)) {
      return [
        `which hop is it? The reset came with TTL ${reset_ttl}, the peer’s handshake with ${handshake_ttl}: \`tracepath -n ${daddr}\` A firewall, NAT or balancer resets in the name of ${peer}: look there first`,
        ...forgotten,
        `did ${peer} send it after all? Run there: \`tcpwhy trace ${word(peer)}\``,
        ...lost,
      ];
    }
    if (sent_by === 'a kernel without the socket') {
      return [
        ...forgotten,
        `${peer}: was the service restarted, or did a balancer move the connection to a host that does not have it? Run there: \`tcpwhy trace ${word(peer)}\``,
        ...lost,
      ];
    }
    return [
      `the process at ${peer} closed or aborted: look in its log for this time, or run there: \`tcpwhy trace ${word(peer)}\``,
      ...lost,
    ];
  },
});

/** Longer than an answer on its way takes, and its first retransmissions. */
const IDLE_MS = 3000;

const wasIdle = (silent_ms: number | null): silent_ms is number =>
  silent_ms !== null && silent_ms >= IDLE_MS;

/** Hosts send what is of one connection with one TTL. */
const isOfAnother = (reset_ttl: number | null, handshake_ttl: number | null) =>
  reset_ttl !== null && handshake_ttl !== null && reset_ttl !== handshake_ttl;

/** A reset that answers a packet has no window and no timestamps; a closing socket sends both. */
function senderOf(window: number, timestamps: boolean): string {
  return window > 0 || timestamps ? 'a closing process' : 'a kernel without the socket';
}
