// SPDX-License-Identifier: Apache-2.0

import { FILES } from './registry.gen.ts';
import { BOTH, type Scenario } from './scenario.ts';

/** Every failure that the lab can make, by id. */
export const SCENARIOS: readonly Scenario[] = FILES.flat()
  .map((entry) => ({ cause: entry.id.replace(/\/.*/, ''), families: BOTH, ...entry }))
  .sort((one, other) => (one.id < other.id ? -1 : 1));
