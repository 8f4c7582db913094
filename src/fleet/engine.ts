// SPDX-License-Identifier: Apache-2.0

import type { Grown } from '../report/told.ts';
import type { Query } from './http.ts';
import type { StoredRecord } from './told.ts';
import type { Wanted } from './wanted.ts';

/** What is wanted: no more findings than that, the weightiest first. */
export interface Asked extends Wanted {
  since_ns: number;
  most: number;
  /** How a finding grew is told in steps of so many seconds. */
  width_s: number;
}

type Row = Readonly<Record<string, unknown>>;

/** How one that has log records of agents is asked. */
export interface Engine {
  queries(base: URL, asked: Asked): { findings: Query; growth: Query };
  /** Who asks, by variables that the engine's own programs have too. */
  headers(env: NodeJS.ProcessEnv): Record<string, string>;
  stored(row: Row): StoredRecord;
  grown(row: Row): Grown;
}
