// SPDX-License-Identifier: Apache-2.0

import { local, remote } from '../../tcp/endpoint.ts';
import { service } from '../../tcp/service.ts';
import { defineCause } from '../define.ts';
import { byService } from '../shared/groups.ts';
import { callers } from '../shared/kernel.ts';
import { ownerOf } from '../shared/processes.ts';

/** What calls tcp_disconnect() besides a process that disconnects. */
const OTHERS = ['__tcp_close', '__mptcp_close', 'inet_csk_listen_stop', 'tcp_abort'];

/** What a process comes by that disconnects; the second is that of MPTCP before 6.0. */
const CALLS = new Set(['__inet_stream_connect', 'mptcp_stream_connect']);

export default defineCause({
  id: 'socket-disconnected',
  title: 'its process disconnected the socket',
  severity: 'warning',
  explains:
    'A process took its socket away from an open connection, to use it again (connect to AF_UNSPEC): the peer gets a reset.',
  seenAs: ['reset'],
  needs: ['reset_sent', 'symbols'],
  on: ['reset_sent'],
  supersedes: ['reset-by-peer', 'connection-unknown'],
  match(event, known) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock, stack, reason, running } = event.body;
    if (packet || !sock) return null;
    const by = callers(stack, known);
    // MPTCP disconnects its subflows for reasons of its own too.
    const disconnects = sock.mptcp
      ? by.includes('mptcp_disconnect') && by.some((name) => CALLS.has(name))
      : known.resetReason(reason) === 'TCP_DISCONNECT_WITH_DATA' || by.includes('tcp_disconnect');
    if (!disconnects || by.some((name) => OTHERS.includes(name))) return null;
    return {
      evidence: {
        local: local(sock.flow),
        peer: remote(sock.flow),
        unread_bytes: sock.unread_bytes,
        unacked_bytes: sock.unacked_bytes,
      },
      basis: 'direct',
      subject: 'flow',
      where: service(sock.flow),
      flow: sock.flow,
      group: byService(event.netns, sock.flow),
      owner: ownerOf(running ?? undefined) ?? ownerOf(sock.owner),
    };
  },
  summary: ({ local: at, peer, unread_bytes, unacked_bytes }) =>
    `${at} was disconnected from ${peer} by its process, with ${unread_bytes} bytes unread and ${unacked_bytes} not acknowledged`,
  advice: ({ local: at }) => [
    `${at}: the program calls connect() with AF_UNSPEC on a connected socket, which resets it: have it shut the connection down and read to its end first`,
  ],
});
