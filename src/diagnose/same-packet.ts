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

  /** `packet`: its packetId. */
  add(packet: string | null, event: Event, occurrences: readonly Occurrence[]): void {
    if (packet !== null && event.kind !== 'drop')
      this.#found.set(packet, occurrences, event.ktime_ns);
  }

  /** What was made of that packet. */
  of(packet: string | null, { ktime_ns }: Event): readonly Occurrence[] | undefined {
    return packet === null ? undefined : this.#found.get(packet, ktime_ns);
  }
}

/** Of the packet that an event tells of; null: it tells of none. */
export function packetId(event: Event): string | null {
  const packet = packetOf(event);
  if (!packet) return null;
  return `${sourceToDestination(packet.flow)} ${packet.seq} ${packet.flags} ${packet.payload_len}`;
}
