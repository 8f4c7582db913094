// SPDX-License-Identifier: Apache-2.0

import { FILES } from './registry.gen.ts';

/** Every failure that the lab can make, by id. */
export const SCENARIOS = FILES.flat().sort((one, other) => (one.id < other.id ? -1 : 1));
