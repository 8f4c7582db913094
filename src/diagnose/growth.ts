// SPDX-License-Identifier: Apache-2.0

const SPAN_S = 30;
const RATE_S = 5;

/** How a running count grew, second by second, over the last half minute. */
export class Growth {
  /** Oldest first; `count` as it stood at the end of that second. */
  readonly #seconds: { second: number; count: number }[] = [];
  #before = 0;

  /** The count as it stands at a time; times never go back. */
  note(count: number, time_ns: number): void {
    const second = Math.floor(time_ns / 1e9);
    const newest = this.#seconds.at(-1);
    if (newest?.second === second) newest.count = count;
    else this.#seconds.push({ second, count });
    while (this.#seconds.length > 1 && (this.#seconds[0]?.second ?? second) <= second - SPAN_S) {
      this.#before = this.#seconds.shift()?.count ?? this.#before;
    }
  }

  /** Occurrences in each of the last 30 seconds, oldest first. */
  perSecond(now_ns: number): number[] {
    const last = Math.floor(now_ns / 1e9);
    const bySecond = new Map(this.#seconds.map(({ second, count }) => [second, count]));
    let previous = this.#before;
    for (const { second, count } of this.#seconds) if (second <= last - SPAN_S) previous = count;
    return Array.from({ length: SPAN_S }, (_, index) => {
      const count = bySecond.get(last - SPAN_S + 1 + index) ?? previous;
      const grown = Math.max(0, count - previous);
      previous = count;
      return grown;
    });
  }

  /** Occurrences a second over the last five. */
  rate(now_ns: number): number {
    return (
      this.perSecond(now_ns)
        .slice(-RATE_S)
        .reduce((sum, grown) => sum + grown, 0) / RATE_S
    );
  }
}
