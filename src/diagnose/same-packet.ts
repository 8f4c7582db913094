// SPDX-License-Identifier: Apache-2.0

import { sourceToDestination } from '../known/connection-id.ts';
import { ExpiringMap } from '../known/expiring-map.ts';
import type { Event } from '../wire/event.ts';
import type { Occurrence } from './open-finding.ts';
import { packetOf } from './unexplained.ts';

/** A packet's answer and its drop come from one call; its retransmission is at least 200 ms later. */
const SAME_PACKET_NS = 50e6;
const MOST = 20_000;

/** What was made of each packet: it is told of where it is answered, and again where it is freed. */
export class SamePacket {
  readonly #found = new ExpiringMap<readonly Occurrence[]>(SAME_PACKET_NS, MOST);

  add(event: Event, occurrences: readonly Occurrence[]): void {
    const packet = event.kind === 'drop' ? null : packetId(event);
    if (packet !== null) this.#found.set(packet, occurrences, event.ktime_ns);
  }

  /** What was made of the packet of this event. */
  of(event: Event): readonly Occurrence[] | undefined {
    const packet = packetId(event);
    return packet === null ? undefined : this.#found.get(packet, event.ktime_ns);
  }
}

function packetId(event: Event): string | null {
  const packet = packetOf(event);
  if (!packet) return null;
  return `${sourceToDestination(packet.flow)} ${packet.seq} ${packet.flags} ${packet.payload_len}`;
}
