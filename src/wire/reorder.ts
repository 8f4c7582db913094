// SPDX-License-Identifier: Apache-2.0

interface Timed {
  readonly ktime_ns: number;
}

/**
 * Puts the events of all CPUs into the order in which they happened. Each CPU has a buffer of its
 * own; a tick says up to when all of them were drained, so what is older than it is complete.
 * Held is at most what arrives between two ticks.
 */
export class Reorder<One extends Timed> {
  #held: One[] = [];
  /** So many of them are held as `keep` said. */
  #kept = 0;
  /** Those that are held came in order so far, and this is the newest time. */
  #ordered = true;
  #newest_ns = Number.NEGATIVE_INFINITY;

  push(one: One): void {
    // An array that begins with one is an array of such to the compiler; an empty one is of anything.
    if (this.#held.length === 0) this.#held = [one];
    else this.#held.push(one);
    if (one.ktime_ns < this.#newest_ns) this.#ordered = false;
    else this.#newest_ns = one.ktime_ns;
  }

  /** Of all that are held. */
  sum(of: (one: One) => number): number {
    return this.#held.reduce((sum, one) => sum + of(one), 0);
  }

  get length(): number {
    return this.#held.length;
  }

  /** The older half of those that are held, oldest first. */
  older(): One[] {
    const times = Float64Array.from(this.#held, ({ ktime_ns }) => ktime_ns).sort();
    return this.release(times[times.length >> 1] ?? 0);
  }

  /** Events up to and including `ktime_ns`, oldest first; of equal times the one that came first. */
  release(ktime_ns: number): One[] {
    const held = this.#held;
    this.#held = [];
    this.#kept = 0;
    const ordered = this.#ordered;
    this.#ordered = true;
    const newest_ns = this.#newest_ns;
    this.#newest_ns = Number.NEGATIVE_INFINITY;
    if (ordered && newest_ns <= ktime_ns) return held;
    const ready: One[] = [];
    for (const one of held) {
      if (one.ktime_ns <= ktime_ns) ready.push(one);
      else this.push(one);
    }
    // The sort is stable.
    return ready.sort((a, b) => a.ktime_ns - b.ktime_ns);
  }

  /** What is held is held as `kept` says. */
  keep(kept: (one: One) => One): void {
    for (; this.#kept < this.#held.length; this.#kept++)
      this.#held[this.#kept] = kept(this.#held[this.#kept] as One);
  }
}
