// SPDX-License-Identifier: Apache-2.0

import type { Severity } from '../causes/define.ts';

const WEIGHTS: Record<Severity, number> = { info: 0, warning: 1, error: 2 };

/** Orders severities as causes/define.ts does, of which a sink has only the types: what weighs more is greater. */
export function weight(severity: Severity): number {
  return WEIGHTS[severity];
}
