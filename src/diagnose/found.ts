// SPDX-License-Identifier: Apache-2.0

import type { Cause, Severity } from '../causes/define.ts';
import type { Occurrence, OpenFinding } from './open-finding.ts';
import type { Reset } from './resets.ts';

/** What the occurrences of a storm have in common: it is there once. */
export interface Common {
  readonly cause: Cause;
  readonly severity: Severity;
  readonly where: string;
  readonly key: string;
  readonly reset: Reset;
}

/** What was found, with its event and evidence while these are needed: a storm leaves thousands a minute. */
export class Found {
  readonly common: Common;
  readonly ktime_ns: number;
  /** Null after WHOLE_NS. */
  whole: Occurrence | null;
  #last: Cause | null = null;
  #count = 0;
  #finding: OpenFinding | null = null;

  constructor(occurrence: Occurrence, common: Common) {
    this.common = common;
    this.ktime_ns = occurrence.event.ktime_ns;
    this.whole = occurrence;
  }

  /** Of the same failure what says most. */
  get last(): Cause {
    let last = this.whole;
    while (last?.by) last = last.by;
    return last?.cause ?? this.#last ?? this.common.cause;
  }

  get count(): number {
    return this.whole?.count ?? this.#count;
  }

  /** What it is part of; null where another took its place. */
  get finding(): OpenFinding | null {
    if (!this.whole) return this.#finding;
    return this.whole.by ? null : this.whole.finding;
  }

  /** Only its cause and its count are asked for from now on. */
  keepCause(): void {
    this.#last = this.last;
    this.#count = this.count;
    this.#finding = this.finding;
    this.whole = null;
  }
}
