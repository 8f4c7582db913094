// SPDX-License-Identifier: Apache-2.0

import type { EventKind } from './kinds.gen.ts';
import type { Bodies } from './types.gen.ts';

interface Common {
  /** CLOCK_MONOTONIC in nanoseconds. */
  ktime_ns: number;
  cpu: number;
  netns: number;
  key: string;
  /** At least 1. */
  occurrences: number;
}

/** One record as plain data; `kind` says which body it has. */
export type Event<Kind extends EventKind = EventKind> = Kind extends EventKind
  ? Common & { kind: Kind; body: Bodies[Kind] }
  : never;
