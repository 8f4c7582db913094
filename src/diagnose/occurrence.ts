// SPDX-License-Identifier: Apache-2.0

import type { Cause, Match } from '../causes/define.ts';
import { inWords } from '../causes/shared/wording.ts';
import type { Event } from '../wire/decode.ts';
import type { Basis, Because, Evidence, Severity } from './finding.ts';
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
  /** What it comes of, where that was seen. */
  because: Because | null;
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
  if (occurrences.length === 0) return [];
  const standing = new Set(occurrences.map(lastOf));
  return [...standing].map((occurrence) => ({
    cause: occurrence.cause.id,
    severity: severityOf(occurrence),
    basis: occurrence.match.basis,
    title: occurrence.cause.title,
    summary: summaryOf(occurrence),
  }));
}

/** What comes of another failure is part of that one's story: no second error. */
export function severityOf({ cause, match, because }: Occurrence): Severity {
  return because ? 'info' : (match.severity ?? cause.severity);
}

export function summaryOf({ cause, match, because }: Occurrence): string {
  const summary = cause.summary(match.evidence, match.flow);
  return because ? `${summary}, because of ${becauseText(because)}` : summary;
}

export function adviceOf({ cause, match, because }: Occurrence): string[] {
  if (!because) return cause.advice(match.evidence, match.flow);
  return [
    `${inWords(becauseText(because))} is why: do what its own finding says, and this one ends too`,
  ];
}

/** Occurrences with the same one are one finding. */
export function findingId({ cause, match, because }: Occurrence): string {
  const id = `${cause.id} ${match.group}`;
  return because ? `${id} ${becauseText(because)}` : id;
}

/** `accept-queue-full at 10.0.0.5:80`. */
function becauseText({ cause, where }: Because): string {
  return `${cause} at ${where}`;
}

function lastOf(occurrence: Occurrence): Occurrence {
  let last = occurrence;
  while (last.by) last = last.by;
  return last;
}
