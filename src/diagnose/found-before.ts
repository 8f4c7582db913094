// SPDX-License-Identifier: Apache-2.0

import type { Cause } from '../causes/define.ts';
import { ExpiringMap } from '../flow/expiring-map.ts';
import type { Event } from '../wire/event.ts';
import type { Flow } from '../wire/types.gen.ts';
import { connectionId, ends } from './connection.ts';
import type { Occurrence } from './open-finding.ts';
import { Precedence } from './precedence.ts';
import { BENIGN, flowsOf, packetOf, UNEXPLAINED } from './unexplained.ts';

/** Retries are at most 120 s apart (TCP_RTO_MAX): what was found at the one before is known. */
const SPAN_NS = 130e9;
/** How far apart the two ends of one failure may be seen. */
export const SAME_FAILURE_NS = 2e9;
/** A packet's answer and its drop come from one call; its retransmission is at least 200 ms later. */
const SAME_PACKET_NS = 50e6;
/** The kernel's own stamps are in milliseconds. */
const STAMP_NS = 2e6;
const MOST = 20_000;
const MOST_OF_ONE = 8;

type Found = readonly Occurrence[];

/**
 * What was found on each connection, at each service and of each packet: for what says more of the same
 * failure, and for what comes of it later. Bounded: the oldest go first.
 */
export class FoundBefore {
  /** In the order in which they were found: the first, and the newest. */
  readonly #connections = new ExpiringMap<Found>(SPAN_NS, MOST);
  /** At each end the newest of each cause that stands before others, the newest of all last. */
  readonly #services = new ExpiringMap<Found>(SPAN_NS, MOST);
  readonly #packets = new ExpiringMap<Found>(SAME_PACKET_NS, MOST);
  readonly #precedence: Precedence;
  readonly #sampled: (key: string) => boolean;

  /** `sampled` says whether some occurrences of a key were not explained one by one. */
  constructor(causes: readonly Cause[], sampled: (key: string) => boolean) {
    this.#precedence = new Precedence(causes);
    this.#sampled = sampled;
  }

  /** Whether another cause of the same failure may say more. */
  maySayLess({ id }: Cause): boolean {
    return this.#precedence.stronger(id).size > 0;
  }

  add(occurrence: Occurrence): void {
    const { cause, match, event } = occurrence;
    this.#addTo(connectionId(match.flow), occurrence);
    if (cause.leadsTo) {
      const others = [...(match.related ?? []), ...flowsOf(event)].map(connectionId);
      for (const other of new Set(others))
        if (other !== connectionId(match.flow)) this.#addTo(other, occurrence);
    }
    if (!cause.supersedes && !cause.leadsTo) return;
    for (const end of ends(match.flow)) {
      const found = this.#services.get(end, event.ktime_ns) ?? NOTHING;
      const others = found.filter((one) => one.cause !== cause);
      this.#services.set(end, [...others, occurrence], event.ktime_ns);
    }
  }

  addPacket(event: Event, occurrences: Found): void {
    const packet = event.kind === 'drop' ? null : packetId(event);
    if (packet !== null) this.#packets.set(packet, occurrences, event.ktime_ns);
  }

  /** What was made of the packet of this event. */
  ofPacket(event: Event): Found | undefined {
    const packet = packetId(event);
    return packet === null ? undefined : this.#packets.get(packet, event.ktime_ns);
  }

  /** What may be of the same failure: found on the connection, each at most SAME_FAILURE_NS before the next. */
  ofFailure(flow: Flow, ktime_ns: number): Found {
    const found = this.#connections.get(connectionId(flow), ktime_ns) ?? NOTHING;
    let first = found.length;
    for (let next_ns = ktime_ns; first > 0; first--) {
      const before_ns = (found[first - 1] as Occurrence).event.ktime_ns;
      if (next_ns - before_ns > SAME_FAILURE_NS) break;
      next_ns = before_ns;
    }
    return found.slice(first).filter(({ by }) => !by);
  }

  /**
   * A cause of the same failure that says more. Records of the two ends are sampled each on its own:
   * where some are missing, the same service at the same time stands for the same connection.
   */
  stronger({ cause, event, match }: Occurrence, ofFailure: Found): Occurrence | null {
    const stronger = this.#precedence.stronger(cause.id);
    if (stronger.size === 0) return null;
    const exact = ofFailure.find((other) => stronger.has(other.cause.id));
    if (exact) return exact;
    const since_ns = event.ktime_ns - SAME_FAILURE_NS;
    return this.#near(match.flow, event.ktime_ns, (one) => {
      if (!stronger.has(one.cause.id) || one.event.ktime_ns < since_ns) return false;
      return event.occurrences > 1 || this.#sampled(one.event.key);
    });
  }

  /**
   * What this came of, where that was found since it began. Where what led to it was sampled, its
   * occurrence for this very connection may be missing: then the same service stands for it.
   */
  because(occurrence: Occurrence): Occurrence | null {
    const { cause, event, match } = occurrence;
    const leading = this.#precedence.leading(cause.id);
    if (leading.size === 0) return null;
    const since = this.#sinceItBegan(occurrence);
    const mayLead = (one: Occurrence) =>
      leading.has(one.cause.id) && isBetween(one, beganOf(occurrence), event.ktime_ns);
    return (
      since.findLast((one) => leading.has(one.cause.id) && isWhy(one, since, event)) ??
      this.#near(match.flow, event.ktime_ns, (one) => {
        return one.cause.severity !== 'info' && mayLead(one) && this.#sampled(one.event.key);
      })
    );
  }

  /** Drops that no cause explains of a connection that failed without a word, since that began. */
  unexplained(occurrence: Occurrence): Found {
    if (this.#precedence.leading(occurrence.cause.id).size === 0) return NOTHING;
    return this.#sinceItBegan(occurrence).filter(({ cause, by }) => cause === UNEXPLAINED && !by);
  }

  #sinceItBegan(occurrence: Occurrence): Found {
    const { event, match } = occurrence;
    const found = this.#connections.get(connectionId(match.flow), event.ktime_ns) ?? NOTHING;
    return found.filter((one) => isBetween(one, beganOf(occurrence), event.ktime_ns));
  }

  /** The cause of which a connection failed first. */
  first(flow: Flow, ktime_ns: number): Cause | null {
    const found = this.#connections.get(connectionId(flow), ktime_ns) ?? NOTHING;
    let first = found.find(
      (one) =>
        one.cause !== BENIGN &&
        one.cause !== UNEXPLAINED &&
        isBetween(one, ktime_ns - SPAN_NS, Number.POSITIVE_INFINITY),
    );
    while (first?.by) first = first.by;
    return first?.cause ?? null;
  }

  #addTo(connection: string, occurrence: Occurrence): void {
    const { ktime_ns } = occurrence.event;
    const found = this.#connections.get(connection, ktime_ns) ?? NOTHING;
    const kept = found.length < MOST_OF_ONE ? found : found.toSpliced(1, 1);
    this.#connections.set(connection, [...kept, occurrence], ktime_ns);
  }

  /** The newest that is meant, at either of the flow's ends. */
  #near(flow: Flow, ktime_ns: number, isMeant: (one: Occurrence) => boolean): Occurrence | null {
    for (const end of ends(flow)) {
      const near = this.#services.get(end, ktime_ns)?.findLast(isMeant);
      if (near) return near;
    }
    return null;
  }
}

const NOTHING: Found = [];

const beganOf = ({ match }: Occurrence) => (match.began_ns ?? 0) - STAMP_NS;

/**
 * Whether a connection failed of this. What is only information where connections live, as a queue that
 * drops some of what is sent, is why only where it dropped all that was sent again.
 */
function isWhy({ cause, match }: Occurrence, found: Found, event: Event): boolean {
  if ((match.severity ?? cause.severity) !== 'info' || event.kind !== 'state_change') return true;
  const dropped = found
    .filter((one) => one.cause === cause)
    .reduce((sum, { count }) => sum + count, 0);
  return dropped >= Math.min(event.body.sock.retransmits, MOST_OF_ONE - 1);
}

const isBetween = ({ event }: Occurrence, since_ns: number, until_ns: number) =>
  event.ktime_ns >= since_ns && event.ktime_ns <= until_ns;

function packetId(event: Event): string | null {
  const packet = packetOf(event);
  return (
    packet && `${ends(packet.flow).join(' ')} ${packet.seq} ${packet.flags} ${packet.payload_len}`
  );
}
