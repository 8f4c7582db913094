// SPDX-License-Identifier: Apache-2.0

import type { Cause, Match } from '../causes/define.ts';
import type { Event } from '../wire/decode.ts';
import type { Basis, Evidence, Severity } from './finding.ts';
import type { OpenFinding } from './open-finding.ts';

/** One occurrence on its way to a finding. */
export interface Occurrence {
  cause: Cause;
  match: Match<Evidence>;
  event: Event;
  seq: number;
  count: number;
  /** What says more about the same failure and took it over. */
  by: Occurrence | null;
  /** Where it went; null while it is held. */
  finding: OpenFinding | null;
}

/** A cause of one event, said with what was seen of this very event. */
export interface Verdict {
  cause: string;
  severity: Severity;
  basis: Basis;
  title: string;
  summary: string;
}

/** What the occurrences of one event say by now: where another took one over, what that one says. */
export function verdictsOf(occurrences: readonly Occurrence[]): Verdict[] {
  const standing = new Set(occurrences.map(lastOf));
  return [...standing].map(({ cause, match }) => ({
    cause: cause.id,
    severity: match.severity ?? cause.severity,
    basis: match.basis,
    title: cause.title,
    summary: cause.summary(match.evidence, match.flow),
  }));
}

function lastOf(occurrence: Occurrence): Occurrence {
  let last = occurrence;
  while (last.by) last = last.by;
  return last;
}
