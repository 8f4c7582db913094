// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { defineCause } from '../define.ts';
import { refusedBy, refusedByNobodyKnown } from '../shared/groups.ts';
import { TIMEOUTS } from '../shared/silence.ts';
import { word } from '../shared/wording.ts';

export default defineCause({
  id: 'socket-backlog-full',
  title: 'the socket backlog is full',
  severity: 'warning',
  explains:
    'While a process held a socket so much arrived for it that the kernel could not let it all wait, and dropped the rest.',
  seenAs: ['slow'],
  needs: ['refused'],
  on: ['drop'],
  leadsTo: [...TIMEOUTS, 'retransmitting', 'mtu-black-hole'],
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, sock, reason, receive_memory_bytes, receive_buffer_bytes } = event.body;
    if (known.dropReason(reason) !== 'SOCKET_BACKLOG') return null;
    const { saddr, sport } = packet.flow;
    const held = sock
      ? refusedBy(event.netns, sock, packet)
      : refusedByNobodyKnown(event.netns, packet);
    return {
      ...held,
      evidence: {
        local: held.where,
        peer: endpoint(saddr, sport),
        payload_bytes: packet.payload_len,
        receive_memory_bytes: sock ? receive_memory_bytes : null,
        receive_buffer_bytes: sock ? receive_buffer_bytes : null,
      },
      basis: 'direct',
    };
  },
  summary({ local: at, peer, payload_bytes }) {
    return `${at} was held by a process, and too much waited already for ${payload_bytes} bytes of ${peer} to wait too`;
  },
  advice({ local: at, receive_buffer_bytes }) {
    return [
      `${at}: its process holds the socket for long (large reads or writes, or it is not given the CPU). How much may wait goes by SO_RCVBUF${receive_buffer_bytes === null ? '' : ` (${receive_buffer_bytes} here)`} and SO_SNDBUF: \`ss -tanpm src ${word(at)}\``,
      'how often? `nstat -az TcpExtTCPBacklogDrop`',
    ];
  },
});
