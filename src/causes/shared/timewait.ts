// SPDX-License-Identifier: Apache-2.0

import type { Names } from '../../known/knowledge.ts';
import { listensFor } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { before } from '../../tcp/sequence.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';

/**
 * What kept a SYN out that a connection in TIME_WAIT, or a closed one that waits for the peer's FIN, has
 * answered and dropped. `stamp`: its timestamp is older. `number`: its number is not above, and no timestamp
 * says that it is newer. `half_closed`: one does, so that the connection waits for the FIN, and its number is
 * not above. `no_listener`: nothing listens any more.
 */
export type KeptOut = 'stamp' | 'number' | 'half_closed' | 'no_listener';

export function keptOut(event: Event & { kind: 'drop' }, known: Names): KeptOut | null {
  const { packet, remembered, sock, reason } = event.body;
  const isSyn = (packet.flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === TCP_FLAG.syn;
  if (!isSyn || sock?.state !== TCP_STATE.TIME_WAIT) return null;
  const recent = packet.has_timestamps === 1 && remembered !== null ? remembered.tsval : null;
  if (recent !== null && before(packet.tsval, recent)) return 'stamp';
  if (known.hasDropReasons() && known.dropReason(reason) !== 'NOT_SPECIFIED') return null;
  const { daddr, dport } = packet.flow;
  const listened = known
    .listenersOnPort(dport)
    .some(({ netns, sock: listener }) => netns === event.netns && listensFor(listener, daddr));
  if (!listened) return 'no_listener';
  return recent !== null && before(recent, packet.tsval) ? 'half_closed' : 'number';
}
