// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { defineCause } from '../define.ts';
import { refusedBy } from '../shared/groups.ts';
import { endedByLimit, limitOf } from '../shared/out-of-memory.ts';

export default defineCause({
  id: 'tcp-memory',
  title: 'TCP has all the memory that it may have',
  severity: 'error',
  explains:
    'All TCP connections of this host together hold as much memory as tcp_mem allows: a connection was reset as it closed, or had no room for what arrived.',
  seenAs: ['reset', 'slow'],
  needs: ['reset_sent', 'refused'],
  on: ['reset_sent', 'drop'],
  supersedes: ['reset-by-peer', 'connection-unknown'],
  match(event, known) {
    if (event.kind === 'reset_sent') {
      const ended = limitOf(event.body, known) === 'memory' ? endedByLimit(event, known) : null;
      const { memory } = event.body;
      return (
        ended &&
        memory && {
          ...ended,
          evidence: {
            ...ended.evidence,
            payload_bytes: null as number | null,
            tcp_pages: memory.pages as number | null,
            tcp_mem_max: memory.pages_max as number | null,
          },
        }
      );
    }
    if (event.kind !== 'drop') return null;
    const { packet, sock, reason, receive_memory_bytes, receive_buffer_bytes } = event.body;
    if (known.dropReason(reason) !== 'PROTO_MEM' || !sock) return null;
    // Else its own buffer is full.
    if (receive_memory_bytes > receive_buffer_bytes) return null;
    const { daddr, dport, saddr, sport } = packet.flow;
    return {
      ...refusedBy(event.netns, sock, packet),
      evidence: {
        local: endpoint(daddr, dport),
        peer: endpoint(saddr, sport),
        unacked_bytes: sock.unacked_bytes,
        at: 'arrival',
        payload_bytes: packet.payload_len as number | null,
        tcp_pages: null,
        tcp_mem_max: null,
      },
      basis: 'inferred',
    };
  },
  summary({ local: at, peer, unacked_bytes, payload_bytes, tcp_pages, tcp_mem_max }) {
    const limit =
      tcp_pages === null
        ? 'TCP has no more memory, by tcp_mem or by its memory cgroup'
        : `TCP has ${tcp_pages} pages where ${tcp_mem_max} may be (tcp_mem)`;
    return payload_bytes === null
      ? `${at} was closed with ${unacked_bytes} bytes not yet taken by ${peer}, and reset: ${limit}`
      : `${at} had no room for ${payload_bytes} bytes of ${peer}: ${limit}`;
  },
  advice({ tcp_pages, tcp_mem_max }) {
    const numbers = tcp_pages === null ? '' : ` (${tcp_mem_max}, in use ${tcp_pages})`;
    return [
      `what may be, in pages, is the last number${numbers}: \`sysctl net.ipv4.tcp_mem\` What is in use: \`grep orphan /proc/net/sockstat\` (mem)`,
      'who holds it: `ss -tanpm` Much in Recv-Q: processes that do not read; in Send-Q: peers that do not',
      "the kernel says so too: `journalctl -k --grep 'out of memory -- consider tuning tcp_mem'`",
    ];
  },
});
