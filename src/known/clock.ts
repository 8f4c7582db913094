// SPDX-License-Identifier: Apache-2.0

import type { Event } from '../wire/event.ts';
import type { Header } from '../wire/types.gen.ts';

/** Steps that are remembered: an event is timed within seconds of when it was. */
const MAX_STEPS = 1000;

interface Step {
  /** From when on it holds, CLOCK_MONOTONIC in nanoseconds. */
  from_ns: number;
  offset_ns: bigint;
  /** The same as a number. */
  offset: number;
}

/** The wall clock of the host as its recording tells it: events have CLOCK_MONOTONIC. */
export class WallClock {
  /** The newest first; there is always one. */
  readonly #steps: Step[];
  #now: Step;

  constructor({ clock_offset_ns }: Pick<Header, 'clock_offset_ns'>) {
    this.#now = stepOf(Number.NEGATIVE_INFINITY, clock_offset_ns);
    this.#steps = [this.#now];
  }

  /** Takes in a fact that says that the clock was set. */
  learn(event: Event): void {
    if (event.kind !== 'fact' || !event.body.clock) return;
    this.#now = stepOf(event.ktime_ns, event.body.clock.offset_ns);
    this.#steps.unshift(this.#now);
    this.#steps.length = Math.min(this.#steps.length, MAX_STEPS);
  }

  /** Nanoseconds since 1970, at a time of the monotonic clock. */
  at(ktime_ns: number): number {
    return ktime_ns + this.#stepAt(ktime_ns).offset;
  }

  /** The same to the nanosecond. */
  exactly(ktime_ns: number): bigint {
    return BigInt(ktime_ns) + this.#stepAt(ktime_ns).offset_ns;
  }

  #stepAt(ktime_ns: number): Step {
    if (ktime_ns >= this.#now.from_ns) return this.#now;
    return this.#steps.find(({ from_ns }) => from_ns <= ktime_ns) ?? this.#oldest;
  }

  get #oldest(): Step {
    return this.#steps.at(-1) ?? this.#now;
  }
}

function stepOf(from_ns: number, offset_ns: string): Step {
  return { from_ns, offset_ns: BigInt(offset_ns), offset: Number(offset_ns) };
}
