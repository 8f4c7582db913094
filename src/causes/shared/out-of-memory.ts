// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { service } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import type { Memory, ResetSent } from '../../wire/types.gen.ts';
import { byService } from './groups.ts';
import { callers, NO_REASON } from './kernel.ts';
import { closedBy } from './processes.ts';

/** SOCK_MIN_SNDBUF, a little less than on any architecture: what holds no more is always let be. */
const LEAST_BYTES = 4096;
/** The timer counts an orphan that is repeated for long up to four times. */
const MOST_PENALTY = 4;

/** As tcp_out_of_memory() says: TCP has more pages than it may, and this socket holds some of them. */
function isOverMemory({ pages, pages_max, send_bytes }: Memory): boolean {
  return pages > pages_max && send_bytes > LEAST_BYTES;
}

/** Which limit ended a connection that no process has any more; null where it was none. */
export function limitOf(reset: ResetSent, known: Knowledge): 'orphans' | 'memory' | null {
  const { packet, sock, memory, reason } = reset;
  if (packet || !sock || !memory) return null;
  const name = known.resetReason(reason);
  if (name !== 'TCP_ABORT_ON_MEMORY' && !(name === NO_REASON && looksLikeIt(reset, known)))
    return null;
  return isOverMemory(memory) ? 'memory' : 'orphans';
}

/** Without a reason: who else resets from there resets before its FIN, or after its FIN was acknowledged. */
function looksLikeIt({ sock, stack }: ResetSent, known: Knowledge): boolean {
  const by = callers(stack, known);
  if (by.includes('tcp_write_timer_handler') || by.includes('tcp_write_timer')) return true;
  const finSent = [TCP_STATE.FIN_WAIT1, TCP_STATE.CLOSING, TCP_STATE.LAST_ACK] as number[];
  return by.includes('__tcp_close') && finSent.includes(sock?.previous_state ?? 0);
}

/** What both limits say of the connection. */
export function endedByLimit(event: Event & { kind: 'reset_sent' }, known: Knowledge) {
  const { sock, stack } = event.body;
  if (!sock) return null;
  const byTimer = !callers(stack, known).includes('__tcp_close');
  return {
    evidence: {
      local: local(sock.flow),
      peer: remote(sock.flow),
      unacked_bytes: sock.unacked_bytes,
      at: byTimer ? 'a retransmission' : 'close()',
    },
    basis: 'direct' as const,
    subject: 'flow' as const,
    where: service(sock.flow),
    flow: sock.flow,
    group: byService(event.netns, sock.flow),
    owner: closedBy(event.body, known),
  };
}

/** How many orphans there were, where more than may be: read a moment later, it may be over. */
export function orphansSeen(known: Knowledge): { orphans: number; tcp_max_orphans: number } | null {
  const seen = known.orphans();
  if (!seen || seen.count * MOST_PENALTY <= seen.max) return null;
  return { orphans: seen.count, tcp_max_orphans: seen.max };
}
