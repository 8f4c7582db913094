// SPDX-License-Identifier: Apache-2.0

import { endOf } from '../tcp/sequence.ts';
import { reversed } from '../tcp/service.ts';
import type { Event } from '../wire/event.ts';
import type { Flow } from '../wire/types.gen.ts';
import { ExpiringMap } from './expiring-map.ts';

/** A reset from one process of this host to another takes no longer. */
const SPAN_NS = 2e9;
const MOST = 4096;

/**
 * The two ends of a reset that this host translates between them: each sees the other by another address.
 * The reset has the same numbers at both, and no other has them.
 */
export class OtherEnds {
  readonly #sent = new ExpiringMap<Event>(SPAN_NS, MOST);
  readonly #received = new ExpiringMap<Event>(SPAN_NS, MOST);
  readonly #of = new WeakMap<Event, Event>();

  learn(event: Event): void {
    const seen = seenOf(event);
    if (!seen) return;
    const [mine, others] =
      event.kind === 'reset_sent' ? [this.#sent, this.#received] : [this.#received, this.#sent];
    mine.set(seen.numbers, event, event.ktime_ns);
    const other = others.get(seen.numbers, event.ktime_ns);
    const there = other && seenOf(other);
    if (!other || !there || isTurned(seen.flow, there.flow)) return;
    this.#of.set(event, other);
    this.#of.set(other, event);
  }

  /** Of a reset: what the other end told of it, where it is not by the same addresses. */
  of(event: Event): Event | null {
    return this.#of.get(event) ?? null;
  }
}

interface Seen {
  /** That the reset has, and that it would acknowledge. */
  numbers: string;
  /** As the end has it that tells of it. */
  flow: Flow;
}

function seenOf(event: Event): Seen | null {
  if (event.kind === 'reset_received') {
    const { flow, rcv_nxt, snd_nxt } = event.body.sock;
    // Before the handshake it has no number of the peer's.
    return rcv_nxt === 0 ? null : { numbers: `${rcv_nxt} ${snd_nxt}`, flow };
  }
  if (event.kind !== 'reset_sent') return null;
  const { packet, sock } = event.body;
  if (packet) {
    return { numbers: `${packet.ack_seq} ${endOf(packet)}`, flow: reversed(packet.flow) };
  }
  return sock && { numbers: `${sock.snd_nxt} ${sock.rcv_nxt}`, flow: sock.flow };
}

const isTurned = (one: Flow, other: Flow) =>
  one.saddr === other.daddr &&
  one.sport === other.dport &&
  one.daddr === other.saddr &&
  one.dport === other.sport;
