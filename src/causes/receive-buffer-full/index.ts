// SPDX-License-Identifier: Apache-2.0

import { endpoint, local } from '../../tcp/endpoint.ts';
import { before, distance } from '../../tcp/sequence.ts';
import { isConnection } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { refusedBy } from '../shared/groups.ts';
import { TIMEOUTS } from '../shared/silence.ts';

const REASONS = new Set(['PROTO_MEM', 'TCP_ZEROWINDOW']);
/** To make room, what had come out of order is thrown away, an eighth of the buffer at a time. */
const MADE_ROOM = 'TCP_OFO_QUEUE_PRUNE';

export default defineCause({
  id: 'receive-buffer-full',
  title: 'no room for what arrived',
  severity: 'info',
  explains:
    'Data was dropped because the receive buffer of its socket is full of what the process has not read; it is sent again.',
  seenAs: ['slow'],
  needs: ['refused'],
  on: ['drop'],
  leadsTo: [...TIMEOUTS, 'retransmitting', 'mtu-black-hole'],
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, sock, reason, receive_memory_bytes, receive_buffer_bytes } = event.body;
    if (!sock || !isConnection(sock.state) || packet.payload_len === 0) return null;
    const made_room = known.dropReason(reason) === MADE_ROOM;
    if (!made_room && !REASONS.has(known.dropReason(reason))) return null;
    // With room left it is the host's memory for TCP that is short.
    if (!made_room && receive_memory_bytes <= receive_buffer_bytes) return null;
    const ahead = before(sock.rcv_nxt, packet.seq);
    return {
      evidence: {
        local: local(sock.flow),
        peer: endpoint(packet.flow.saddr, packet.flow.sport),
        payload_bytes: packet.payload_len,
        unread_bytes: sock.unread_bytes,
        receive_memory_bytes,
        receive_buffer_bytes,
        ...(made_room && { out_of_order: true }),
        ...(!made_room && ahead && { missing_bytes: distance(sock.rcv_nxt, packet.seq) }),
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
    out_of_order,
    missing_bytes,
  }) {
    if (out_of_order)
      return `${here} threw ${payload_bytes} bytes of ${peer} away that had come out of order, to have room: what it has received takes ${receive_memory_bytes} bytes of memory where ${receive_buffer_bytes} may be`;
    const early = missing_bytes === undefined ? '' : `, before which ${missing_bytes} are missing`;
    return `${here} has no room for ${payload_bytes} bytes of ${peer}${early}: what it has received, ${unread_bytes} bytes of it unread, takes ${receive_memory_bytes} bytes of memory where ${receive_buffer_bytes} may be`;
  },
  advice({ local: here, out_of_order, missing_bytes }, { sport, dport }) {
    const socket = `'sport = :${dport} and dport = :${sport}'`;
    return [
      ...(out_of_order || missing_bytes !== undefined
        ? [
            'a segment before these was lost on the way; what came after it waits, and fills the buffer until that is sent again: `nstat -az TcpExtTCPOFOQueue TcpExtOfoPruned TcpExtTCPLostRetransmit`',
          ]
        : []),
      `does the process of ${here} read? Its Recv-Q: \`ss -tnmpe ${socket}\``,
      'it does: many small segments take much more memory than they have bytes: a larger SO_RCVBUF, or leave it to the kernel (net.ipv4.tcp_rmem in its namespace, tcp_moderate_rcvbuf)',
    ];
  },
});
