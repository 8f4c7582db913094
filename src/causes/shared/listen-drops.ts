// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../../tcp/flags.ts';
import type { Event } from '../../wire/event.ts';
import type { SynReceived } from '../../wire/types.gen.ts';

/** A SYN that was refused while ListenDrops alone moved: no counter says why. */
export function refusedWithoutReason(event: Event): SynReceived | null {
  if (event.kind !== 'syn_received') return null;
  const { packet, mib } = event.body;
  if ((packet.flags & (TCP_FLAG.syn | TCP_FLAG.ack)) !== TCP_FLAG.syn) return null;
  const says =
    mib.listen_overflows +
    mib.tcp_req_q_full_drop +
    mib.tcp_req_q_full_do_cookies +
    mib.out_no_routes +
    mib.paws_passive +
    mib.paws_estab +
    mib.paws_timewait;
  return mib.listen_drops > 0 && says === 0 ? event.body : null;
}

/**
 * Whether the kernel keeps what is left of tcp_max_syn_backlog for peers that it knows: the last quarter,
 * where no SYN cookies can be sent (tcp_conn_request).
 */
export function isLastQuarter({ listener, limits }: SynReceived): boolean {
  if (!listener || !limits || limits.syncookies !== 0) return false;
  const { syn_backlog_max } = limits;
  return syn_backlog_max - listener.syn_queue < syn_backlog_max >> 2;
}
