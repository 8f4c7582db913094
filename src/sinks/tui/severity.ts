// SPDX-License-Identifier: Apache-2.0

import type { Style } from './lines.ts';
import type { FindingView } from './model.ts';

/** One letter says it without colour. */
export function severityMark({ finding, benign }: FindingView): string {
  return benign ? 'b' : { error: 'E', warning: 'W', info: 'I' }[finding.severity];
}

export function severityWord({ finding, benign }: FindingView): string {
  return benign ? 'BENIGN' : finding.severity.toUpperCase();
}

export function severityStyle({ finding, benign }: FindingView): Style {
  return benign ? 'dim' : finding.severity;
}
