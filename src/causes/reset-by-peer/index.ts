// SPDX-License-Identifier: Apache-2.0

import { local, remote } from '../../tcp/endpoint.ts';
import { service } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { byPeer } from '../shared/groups.ts';
import { ownerOf } from '../shared/processes.ts';
import { word } from '../shared/wording.ts';

export default defineCause({
  id: 'reset-by-peer',
  title: 'the other side reset the connection',
  severity: 'warning',
  explains:
    'The other side ended an open connection with a reset; its shape tells a closing process from a kernel without the socket.',
  needs: ['reset_received'],
  on: ['reset_received'],
  match(event) {
    if (event.kind !== 'reset_received' || event.body.sock.state === TCP_STATE.SYN_SENT)
      return null;
    const { sock, packet } = event.body;
    return {
      evidence: {
        peer: remote(sock.flow),
        local: local(sock.flow),
        sent_by: packet ? senderOf(packet.window, packet.has_timestamps === 1) : 'unknown',
        reset_window: packet?.window ?? null,
        reset_timestamps: packet ? packet.has_timestamps === 1 : null,
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
  summary({ peer, sent_by }) {
    if (sent_by === 'unknown') return `${peer} reset the connection`;
    return `${peer} reset the connection: sent by ${sent_by}`;
  },
  advice({ local: at, peer, sent_by, unacked_bytes }) {
    const lost =
      unacked_bytes > 0
        ? [
            `${unacked_bytes} bytes that ${at} sent were not acknowledged: ${peer} may not have read them`,
          ]
        : [];
    if (sent_by === 'a kernel without the socket') {
      return [
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

/** A reset that answers a packet has no window and no timestamps; a closing socket sends both. */
function senderOf(window: number, timestamps: boolean): string {
  return window > 0 || timestamps ? 'a closing process' : 'a kernel without the socket';
}
