// SPDX-License-Identifier: Apache-2.0

import type { Cause } from '../causes/define.ts';
import { perFlow } from '../flow/per-flow.ts';
import { Recent } from '../flow/recent.ts';
import type { Event } from '../wire/event.ts';
import type { Flow } from '../wire/types.gen.ts';
import { connectionId, ends } from './connection.ts';
import type { Occurrence } from './open-finding.ts';
import { BENIGN, packetOf, UNEXPLAINED } from './unexplained.ts';

/** How far apart the two ends of one failure may be seen. */
export const SAME_FAILURE_NS = 2e9;
/** A connect that is given up at last was refused for the first time up to two minutes before. */
const WHY_NS = 130e9;
/** A packet's answer and its drop come from one call; its retransmission is at least 200 ms later. */
const SAME_PACKET_NS = 50e6;
const MAX_RECENT = 20_000;
const MAX_OTHERS = 8;

/** What failed lately: by connection, by service, by packet. Bounded: the oldest go first. */
export class Memory {
  readonly #connections = new Recent<Occurrence[]>(SAME_FAILURE_NS, MAX_RECENT);
  /** Why connections failed that others may have failed because of: the first cause of each. */
  readonly #whys = new Recent<Occurrence>(WHY_NS, MAX_RECENT);
  readonly #services = new Recent<Occurrence>(SAME_FAILURE_NS, MAX_RECENT);
  /** By causes that others may be superseded by: their keys in #services. */
  readonly #serviceKeys = new Map<string, (flow: Flow) => readonly string[]>();
  readonly #supersededBy = new Map<string, Set<string>>();
  readonly #packets = new Recent<readonly Occurrence[]>(SAME_PACKET_NS, MAX_RECENT);
  readonly #sampled: (key: string) => boolean;

  /** `sampled` says whether some occurrences of a key became no record. */
  constructor(causes: readonly Cause[], sampled: (key: string) => boolean) {
    this.#sampled = sampled;
    for (const cause of causes) {
      if (!cause.supersedes) continue;
      const keys = perFlow((flow) => ends(flow).map((end) => `${cause.id} ${end}`));
      this.#serviceKeys.set(cause.id, keys);
      for (const less of cause.supersedes) {
        const by = this.#supersededBy.get(less) ?? new Set();
        this.#supersededBy.set(less, by.add(cause.id));
      }
    }
  }

  /** Whether another cause of the same failure may say more. */
  maySayLess({ id }: Cause): boolean {
    return this.#supersededBy.has(id);
  }

  /** What stood for the connection when it failed last. */
  others(flow: Flow, ktime_ns: number): readonly Occurrence[] {
    return this.#connections.get(connectionId(flow), ktime_ns) ?? NOTHING;
  }

  /** What was made of the packet of this event before. */
  ofPacket(event: Event): readonly Occurrence[] | undefined {
    const packet = packetId(event);
    return packet === null ? undefined : this.#packets.get(packet, event.ktime_ns);
  }

  notePacket(event: Event, occurrences: readonly Occurrence[]): void {
    const packet = event.kind === 'drop' ? null : packetId(event);
    if (packet !== null) this.#packets.set(packet, occurrences, event.ktime_ns);
  }

  note(occurrence: Occurrence): void {
    const { event, cause, match } = occurrence;
    const connection = connectionId(match.flow);
    const others = this.#connections.get(connection, event.ktime_ns) ?? NOTHING;
    this.#connections.set(
      connection,
      [...others.filter(({ by }) => !by), occurrence].slice(-MAX_OTHERS),
      event.ktime_ns,
    );
    const first = !this.#whys.get(connection, event.ktime_ns);
    if (first && cause !== BENIGN && cause !== UNEXPLAINED)
      this.#whys.set(connection, occurrence, event.ktime_ns);
    this.noteService(occurrence, event.ktime_ns);
  }

  /** The same was seen of its service at that time. */
  noteService(occurrence: Occurrence, ktime_ns: number): void {
    const { cause, match } = occurrence;
    for (const key of this.#serviceKeys.get(cause.id)?.(match.flow) ?? [])
      this.#services.set(key, occurrence, ktime_ns);
  }

  /**
   * A cause of the same failure that says more. Records of the two ends are sampled each on its own:
   * where some are missing, the same service at the same time stands for the same connection.
   */
  stronger(occurrence: Occurrence, others: readonly Occurrence[]): Occurrence | null {
    const { cause, event, match } = occurrence;
    const by = this.#supersededBy.get(cause.id);
    if (!by) return null;
    const exact = others.find((other) => by.has(other.cause.id));
    if (exact) return exact;
    for (const id of by) {
      for (const key of this.#serviceKeys.get(id)?.(match.flow) ?? []) {
        const near = this.#services.get(key, event.ktime_ns);
        if (near && (event.occurrences > 1 || this.#sampled(near.event.key))) return near;
      }
    }
    return null;
  }

  /** Why a connection failed, or failed first. */
  why(flow: Flow, ktime_ns: number): Occurrence | undefined {
    let why = this.#whys.get(connectionId(flow), ktime_ns);
    while (why?.by) why = why.by;
    return why;
  }
}

const NOTHING: readonly Occurrence[] = [];

function packetId(event: Event): string | null {
  const packet = packetOf(event);
  return (
    packet && `${ends(packet.flow).join(' ')} ${packet.seq} ${packet.flags} ${packet.payload_len}`
  );
}
