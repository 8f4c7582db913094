// SPDX-License-Identifier: Apache-2.0

import type { Event } from './decode.ts';

interface Held {
  event: Event;
  arrival: number;
}

/**
 * Puts the events of all CPUs into the order in which they happened. Each CPU has a buffer of its
 * own; a tick says up to when all of them were drained, so what is older than it is complete.
 * Held is at most what arrives between two ticks.
 */
export class Reorder {
  #held: Held[] = [];
  #arrivals = 0;

  push(event: Event): void {
    this.#held.push({ event, arrival: this.#arrivals++ });
  }

  /** Events up to and including `ktime_ns`, oldest first; of equal times the one that came first. */
  release(ktime_ns: number): Event[] {
    const ready: Held[] = [];
    const rest: Held[] = [];
    for (const held of this.#held) (held.event.ktime_ns <= ktime_ns ? ready : rest).push(held);
    this.#held = rest;
    ready.sort((a, b) => a.event.ktime_ns - b.event.ktime_ns || a.arrival - b.arrival);
    return ready.map(({ event }) => event);
  }
}
