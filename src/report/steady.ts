// SPDX-License-Identifier: Apache-2.0

import type { Event } from '../wire/event.ts';
import type { Header } from '../wire/types.gen.ts';

/**
 * A host's clock as if nobody had set it since the first file of its run, by which hosts can be compared;
 * and what it was really set to.
 */
export class SteadyClock {
  /** From when on it was ahead by so much, the oldest first. */
  readonly #steps: { from_ns: number; ahead_ns: number }[] = [];
  #run = '0';
  #offset_ns = 0n;

  /** The header of the host's next file, with the clock as if it had not been set. */
  header(header: Header): Header {
    const { run, clock_offset_ns, start_ktime_ns } = header;
    if (run === '0' || run !== this.#run) this.#offset_ns = BigInt(clock_offset_ns);
    this.#run = run;
    this.#note(start_ktime_ns, clock_offset_ns);
    return { ...header, clock_offset_ns: String(this.#offset_ns) };
  }

  /** An event of that file, without what it says of the clock. */
  event(event: Event): Event {
    if (event.kind !== 'fact' || !event.body.clock) return event;
    this.#note(event.ktime_ns, event.body.clock.offset_ns);
    return { ...event, body: { ...event.body, clock: null } };
  }

  /** What the host's clock showed, in nanoseconds since 1970. */
  shown(steady_ns: number): number {
    const step = this.#steps.findLast(({ from_ns }) => from_ns <= steady_ns) ?? this.#steps[0];
    return steady_ns + (step?.ahead_ns ?? 0);
  }

  /** The earliest and the latest that it showed meanwhile. */
  span(from_ns: number, to_ns: number): { start_ns: number; end_ns: number } {
    const steps = this.#steps.filter((step) => step.from_ns > from_ns && step.from_ns < to_ns);
    const at = [from_ns, to_ns, ...steps.flatMap((step) => [step.from_ns - 1, step.from_ns])];
    const shown = at.map((steady_ns) => this.shown(steady_ns));
    return { start_ns: Math.min(...shown), end_ns: Math.max(...shown) };
  }

  #note(ktime_ns: number, offset_ns: string): void {
    const ahead_ns = Number(BigInt(offset_ns) - this.#offset_ns);
    if (this.#steps.at(-1)?.ahead_ns === ahead_ns) return;
    this.#steps.push({ from_ns: ktime_ns + Number(this.#offset_ns), ahead_ns });
  }
}
