// SPDX-License-Identifier: Apache-2.0

import type { Connection } from './connection.ts';
import { type Emit, flowOf } from './messages.ts';

/**
 * Before what is told of a connection come its first sequence numbers, by which it is known elsewhere, once, and what
 * else its packets show.
 */
export function withKnown(emit: Emit): Emit {
  return (time_ns, body, ...of) => {
    for (const connection of of) tell(connection, time_ns, emit);
    emit(time_ns, body);
  };
}

function tell(connection: Connection, time_ns: number, emit: Emit): void {
  const { key, opener, client, server, history, reset_captured, told_numbers } = connection;
  if (opener === null || client?.isn == null) return;
  const flow = flowOf(key, opener, opener);
  if (!told_numbers && !connection.contested) {
    connection.told_numbers = true;
    const peer_isn = server?.isn ?? null;
    const answer = peer_isn === null ? {} : { answered: 1, peer_isn };
    emit(time_ns, { handshake: { flow, isn: client.isn, ...answer } });
  }
  const reset = reset_captured && { reset: reset_captured };
  emit(time_ns, { captured: { flow, history, ...reset } });
}
