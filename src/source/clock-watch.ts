// SPDX-License-Identifier: Apache-2.0

/** What NTP slews between two ticks is far below it, and nobody reads times that closely. */
const STEP_NS = 5_000_000n;

/**
 * Sees that the wall clock was set, or that the host slept: wall clock minus CLOCK_MONOTONIC differs from
 * what was told last. A slow drift adds up, and is told when it has come to as much.
 */
export class ClockWatch {
  told_ns: bigint;
  readonly #offset_ns: () => bigint;

  /** `offset_ns` reads the difference. */
  constructor(told_ns: bigint, offset_ns: () => bigint) {
    this.told_ns = told_ns;
    this.#offset_ns = offset_ns;
  }

  /** The clock as it is now and as it was told; null where that is the same. */
  changed(): { offset_ns: string; was_ns: string } | null {
    const now_ns = this.#offset_ns();
    const by_ns = now_ns - this.told_ns;
    if (by_ns <= STEP_NS && by_ns >= -STEP_NS) return null;
    const was_ns = this.told_ns;
    this.told_ns = now_ns;
    return { offset_ns: String(now_ns), was_ns: String(was_ns) };
  }
}
