// SPDX-License-Identifier: Apache-2.0

import type { Connection } from './connection.ts';
import { type Emit, flowOf } from './messages.ts';

/** Before the first that is told of a connection come its first sequence numbers, by which it is known elsewhere. */
export function withHandshakes(emit: Emit): Emit {
  return (time_ns, body, ...of) => {
    for (const connection of of) tell(connection, time_ns, emit);
    emit(time_ns, body);
  };
}

function tell(connection: Connection, time_ns: number, emit: Emit): void {
  const { key, opener, client, server, told_numbers } = connection;
  if (told_numbers || opener === null || client?.isn == null || connection.contested) return;
  connection.told_numbers = true;
  const peer_isn = server?.isn ?? null;
  const answer = peer_isn === null ? {} : { answered: 1, peer_isn };
  emit(time_ns, { handshake: { flow: flowOf(key, opener, opener), isn: client.isn, ...answer } });
}
