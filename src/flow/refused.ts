// SPDX-License-Identifier: Apache-2.0

/** Of connects that were refused, and whose records nobody decoded: the newest, without an object for each. */
const SLOTS = 1 << 14;

export class Refused {
  readonly #netns = new Uint32Array(SLOTS);
  readonly #pids = new Uint32Array(SLOTS);
  readonly #times_ns = new Float64Array(SLOTS);
  readonly #left = new Uint32Array(SLOTS);
  readonly #numbers = new Float64Array(SLOTS);
  #count = 0;

  /** A connect of that process, which `number` stands for; so many more are as this one. */
  add(number: number, netns: number, pid: number, ktime_ns: number, left: number): void {
    const slot = this.#count++ & (SLOTS - 1);
    this.#netns[slot] = netns;
    this.#pids[slot] = pid;
    this.#times_ns[slot] = ktime_ns;
    this.#left[slot] = left;
    this.#numbers[slot] = number;
  }

  /** Takes away the newest connect of that process, since `since_ns`; null where there is none. */
  take(
    netns: number,
    pid: number,
    since_ns: number,
  ): { number: number; ktime_ns: number; left: number } | null {
    const last = Math.max(0, this.#count - SLOTS);
    for (let i = this.#count - 1; i >= last; i--) {
      const slot = i & (SLOTS - 1);
      const ktime_ns = this.#times_ns[slot] as number;
      if (ktime_ns < since_ns) return null;
      const left = this.#left[slot] as number;
      if (left === 0 || this.#pids[slot] !== pid || this.#netns[slot] !== netns) continue;
      this.#left[slot] = 0;
      return { number: this.#numbers[slot] as number, ktime_ns, left };
    }
    return null;
  }
}
