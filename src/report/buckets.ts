// SPDX-License-Identifier: Apache-2.0

import type { Timeline } from './model.ts';

const FINEST_NS = 10e6;
const MAX_BUCKETS = 512;
const SHOWN_BUCKETS = 96;

/** Occurrences by cause over time, in buckets that widen as the time grows: a few kilobytes a cause. */
export class Buckets {
  readonly start_ns: number;
  readonly #causes = new Map<string, number[]>();
  #width_ns = FINEST_NS;

  constructor(start_ns: number) {
    this.start_ns = start_ns;
  }

  add(cause: string, time_ns: number, count: number): void {
    while (time_ns - this.start_ns >= MAX_BUCKETS * this.#width_ns) this.#widen();
    const counts = this.#causes.get(cause) ?? [];
    this.#causes.set(cause, counts);
    const at = Math.max(0, Math.floor((time_ns - this.start_ns) / this.#width_ns));
    counts[at] = (counts[at] ?? 0) + count;
  }

  #widen(): void {
    this.#width_ns *= 2;
    for (const [cause, counts] of this.#causes) {
      const halved: number[] = [];
      // A hole in the array is a bucket without occurrences.
      counts.forEach((count, at) => {
        halved[at >> 1] = (halved[at >> 1] ?? 0) + count;
      });
      this.#causes.set(cause, halved);
    }
  }

  /** The middle of each bucket that has any, by this host's clock. */
  *entries(): Generator<{ cause: string; time_ns: number; count: number }> {
    for (const [cause, counts] of this.#causes) {
      for (const [at, count] of Object.entries(counts)) {
        if (count !== 0)
          yield { cause, time_ns: this.start_ns + (Number(at) + 0.5) * this.#width_ns, count };
      }
    }
  }
}

const STEPS = [1, 2, 5];
const CLOCK_STEPS_S = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200];

/** All hosts' occurrences on one axis, in buckets of a round width. */
export function timelineOf(
  hosts: readonly { buckets: readonly Buckets[]; onReport(time_ns: number): number }[],
  causes: readonly string[],
  start_ns: number,
  end_ns: number,
): Timeline {
  const width_ns = roundWidth(Math.max(end_ns - start_ns, 1e9) / SHOWN_BUCKETS);
  const first_ns = Math.floor(start_ns / width_ns) * width_ns;
  const length = Math.max(1, Math.ceil((end_ns - first_ns + 1) / width_ns));
  const lanes = new Map(causes.map((cause) => [cause, Array<number>(length).fill(0)]));
  for (const { buckets, onReport } of hosts) {
    for (const { cause, time_ns, count } of buckets.flatMap((one) => [...one.entries()])) {
      const counts = lanes.get(cause);
      const at = Math.floor((onReport(time_ns) - first_ns) / width_ns);
      const inside = Math.min(Math.max(at, 0), length - 1);
      if (counts) counts[inside] = (counts[inside] ?? 0) + count;
    }
  }
  return {
    start_ns: first_ns,
    width_ns,
    lanes: [...lanes].map(([cause, counts]) => ({ cause, counts })),
  };
}

/** 1, 2 or 5 of a power of ten, and from ten seconds on what clocks are divided by; then whole days. */
export function roundWidth(least_ns: number): number {
  const clock = CLOCK_STEPS_S.find((step) => step * 1e9 >= least_ns);
  if (least_ns > 5e9) return clock ? clock * 1e9 : Math.ceil(least_ns / 86_400e9) * 86_400e9;
  const power = 10 ** Math.floor(Math.log10(least_ns));
  return (STEPS.find((step) => step * power >= least_ns) ?? 10) * power;
}
