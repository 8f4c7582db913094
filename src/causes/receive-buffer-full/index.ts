// SPDX-License-Identifier: Apache-2.0

import { endpoint, local } from '../../tcp/endpoint.ts';
import { isConnection } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { refusedBy } from '../shared/groups.ts';
import { TIMEOUTS } from '../shared/silence.ts';

const REASONS = new Set(['PROTO_MEM', 'TCP_ZEROWINDOW']);

export default defineCause({
  id: 'receive-buffer-full',
  title: 'no room for what arrived',
  severity: 'info',
  explains:
    'Data was dropped because the receive buffer of its socket is full of what the process has not read; it is sent again.',
  needs: ['refused'],
  on: ['drop'],
  leadsTo: [...TIMEOUTS, 'retransmitting'],
  match(event, known) {
    if (event.kind !== 'drop' || !REASONS.has(known.dropReason(event.body.reason))) return null;
    const { packet, sock, receive_memory_bytes, receive_buffer_bytes } = event.body;
    if (!sock || !isConnection(sock.state) || packet.payload_len === 0) return null;
    // With room left it is the host's memory for TCP that is short.
    if (sock.unread_bytes === 0 || receive_memory_bytes <= receive_buffer_bytes) return null;
    return {
      evidence: {
        local: local(sock.flow),
        peer: endpoint(packet.flow.saddr, packet.flow.sport),
        payload_bytes: packet.payload_len,
        unread_bytes: sock.unread_bytes,
        receive_memory_bytes,
        receive_buffer_bytes,
      },
      basis: 'direct',
      ...refusedBy(event.netns, sock, packet),
    };
  },
  summary({
    local: here,
    peer,
    payload_bytes,
    unread_bytes,
    receive_memory_bytes,
    receive_buffer_bytes,
  }) {
    return `${here} has no room for ${payload_bytes} bytes of ${peer}: what it has received, ${unread_bytes} bytes of it unread, takes ${receive_memory_bytes} bytes of memory where ${receive_buffer_bytes} may be`;
  },
  advice({ local: here }, { sport, dport }) {
    const socket = `'sport = :${dport} and dport = :${sport}'`;
    return [
      `does the process of ${here} read? Its Recv-Q: \`ss -tnmpe ${socket}\``,
      'it does: many small segments take much more memory than they have bytes: a larger SO_RCVBUF, or leave it to the kernel (net.ipv4.tcp_rmem in its namespace, tcp_moderate_rcvbuf)',
    ];
  },
});
