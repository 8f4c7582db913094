// SPDX-License-Identifier: Apache-2.0

import type { EndRow } from './model.ts';

const MAX_KEPT = 4096;

/**
 * How often each text was counted, by cause. Bounded: where there are too many texts, the rarest
 * so far are let go, so that counts of rare ones may be too low; those of frequent ones are not.
 */
export class TopCounts {
  #rows = new Map<string, { count: number; causes: Map<string, number> }>();

  add(text: string, cause: string, count: number): void {
    let row = this.#rows.get(text);
    if (!row) {
      if (this.#rows.size >= 2 * MAX_KEPT) this.#shed();
      row = { count: 0, causes: new Map() };
      this.#rows.set(text, row);
    }
    row.count += count;
    row.causes.set(cause, (row.causes.get(cause) ?? 0) + count);
  }

  #shed(): void {
    const sorted = [...this.#rows].sort(([, a], [, b]) => b.count - a.count);
    this.#rows = new Map(sorted.slice(0, MAX_KEPT));
  }

  top(length: number): EndRow[] {
    return [...this.#rows]
      .filter(([, { count }]) => count > 0)
      .sort(([a, { count: x }], [b, { count: y }]) => y - x || (a < b ? -1 : 1))
      .slice(0, length)
      .map(([text, { count, causes }]) => ({
        text,
        count,
        causes: [...causes]
          .filter(([, times]) => times > 0)
          .map(([id, times]) => ({ id, count: times }))
          .sort((a, b) => b.count - a.count),
      }));
  }
}
