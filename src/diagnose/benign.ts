// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../flow/knowledge.ts';
import type { Event } from '../wire/decode.ts';

const SYN = 0x02;
const RST = 0x04;
const TIME_WAIT = 6;
const LISTEN = 10;

/** Ordinary duplicates and teardown, by the kernel's drop reason. */
const ORDINARY: Record<string, string> = {
  TCP_OLD_DATA: 'a duplicate: the data had arrived before',
  TCP_OLD_SEQUENCE: 'a duplicate: the data had arrived before',
  TCP_OLD_ACK: 'an acknowledgement that arrived late',
  TCP_TOO_OLD_ACK: 'an acknowledgement that arrived late',
  TCP_OFOMERGE: 'out-of-order data that a later segment contains too',
  TCP_OFO_DROP: 'out-of-order data that a later segment contains too',
  TCP_RFC7323_PAWS_ACK: 'an acknowledgement that arrived late, by its timestamp',
  QUEUE_PURGE: 'what a closed socket still held',
  SOCKET_CLOSE: 'what a closed socket still held',
  TCP_CLOSE: 'a segment that crossed with the end of its connection',
};

/** What frees the queues of a socket that is closed, on kernels that give no reason for it. */
const PURGES = new Set([
  'sk_stream_kill_queues',
  'skb_queue_purge',
  'skb_rbtree_purge',
  'tcp_write_queue_purge',
]);

/** Why an event is nothing to worry about, or null. Asked only of what no cause explains. */
export function benign(event: Event, known: Knowledge): string | null {
  if (event.kind !== 'drop') return null;
  const reason = known.dropReason(event.body.reason);
  if (reason === 'NO_SOCKET' && event.body.packet.flags & RST) {
    return 'a reset for a connection that is gone already';
  }
  if (
    reason === 'TCP_RESET' &&
    event.body.packet.flags & RST &&
    event.body.sock?.state === LISTEN
  ) {
    return 'a reset to a listener, for a connection that is gone already';
  }
  const ended = event.body.sock?.state === TIME_WAIT && !(event.body.packet.flags & SYN);
  if (reason === 'NOT_SPECIFIED' && ended) {
    return 'one of the last segments of a connection that has ended';
  }
  if (reason === 'NOT_SPECIFIED' && PURGES.has(known.symbol(event.body.location)?.name ?? '')) {
    return ORDINARY.QUEUE_PURGE ?? null;
  }
  return ORDINARY[reason] ?? null;
}
