// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from './flags.ts';
import { distance } from './sequence.ts';
import { isConnection } from './states.ts';

/** Of a segment that was dropped, and of the socket that dropped it. */
interface Refused {
  packet: { flags: number; seq: number; payload_len: number };
  sock: { state: number; unread_bytes: number; rcv_nxt: number } | null;
  window_end: number;
}

/** Less than a full segment: a sender does not use it. */
const SMALL_BYTES = 1400;

/**
 * Whether a socket was sent a probe, or more than it has room for, while its own window is shut because
 * its process does not read.
 */
export function isShutTo({ packet, sock, window_end }: Refused): boolean {
  if (!sock || !isConnection(sock.state) || sock.unread_bytes === 0) return false;
  if (packet.flags & (TCP_FLAG.syn | TCP_FLAG.rst)) return false;
  const ahead = distance(sock.rcv_nxt, packet.seq);
  const room = distance(sock.rcv_nxt, window_end);
  if (room <= 0) return ahead === 0 || ahead === -1;
  return ahead === 0 && room < SMALL_BYTES && packet.payload_len > room;
}
