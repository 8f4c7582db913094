// SPDX-License-Identifier: Apache-2.0

import type { Basis, Severity } from '../causes/define.ts';
import { inWords } from '../causes/shared/wording.ts';
import { familyOf } from '../tcp/address.ts';
import type { Because, Finding, FlowText } from './finding.ts';
import type { Many } from './many.ts';
import type { Occurrence, OpenFinding } from './open-finding.ts';
import { sidesOf } from './sides.ts';
import { flowsOf } from './unexplained.ts';

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
  const [only] = occurrences;
  if (!only) return [];
  if (occurrences.length === 1) return [verdictOf(lastOf(only))];
  return [...new Set(occurrences.map(lastOf))].map(verdictOf);
}

function verdictOf(occurrence: Occurrence): Verdict {
  const { cause, match } = occurrence;
  return {
    cause: cause.id,
    severity: severityOf(occurrence),
    basis: match.basis,
    title: cause.title,
    summary: summaryOf(occurrence),
  };
}

/** What comes of another failure is part of that one's story: no second error. */
export function severityOf({ cause, match, because }: Occurrence): Severity {
  return because ? 'info' : (match.severity ?? cause.severity);
}

/** Of many subjects the last one stands for the others. */
function summaryOfMany(many: Many, occurrence: Occurrence): string {
  const { ofMany } = occurrence.cause;
  const is = ofMany && many.isScan ? `: ${ofMany.scan}` : '';
  return `${many.where}${is}; the last: ${summaryOf(occurrence)}`;
}

function adviceOfMany(many: Many, occurrence: Occurrence): string[] {
  const { cause, match } = occurrence;
  const { ofMany } = cause;
  return ofMany && many.isScan ? ofMany.advice(match.evidence, match.flow) : adviceOf(occurrence);
}

function summaryOf({ cause, match, because }: Occurrence): string {
  const summary = cause.summary(match.evidence, match.flow);
  return because ? `${summary}, because of ${becauseText(because)}` : summary;
}

function adviceOf({ cause, match, because }: Occurrence): string[] {
  if (!because) return cause.advice(match.evidence, match.flow);
  return [
    `${inWords(becauseText(because))} is why: do what its own finding says, and this one ends too`,
  ];
}

/** The finding as it stands. What it says is made only when it is asked for: most is never shown. */
export function tell(open: OpenFinding): Finding {
  const { finding, untold, events } = open;
  if (!untold) return finding;
  const { match, event } = untold;
  open.untold = null;
  open.told = untold;
  open.connections = [match.flow, ...(match.related ?? []), ...flowsOf(event)];
  open.sides = sidesOf(event, match.flow);
  finding.evidence = match.evidence;
  finding.flow = flowOf(untold);
  const { many } = open;
  finding.summary = many ? summaryOfMany(many, untold) : summaryOf(untold);
  finding.advice = many ? adviceOfMany(many, untold) : adviceOf(untold);
  if (many) {
    finding.many = many.text;
    finding.where = many.subject;
    finding.because = untold.because;
  }
  finding.events = events.map(({ seq }) => seq);
  return finding;
}

export function flowOf({ match, event }: Occurrence): FlowText {
  const { saddr, sport, daddr, dport } = match.flow;
  return { family: familyOf(saddr), saddr, sport, daddr, dport, netns: event.netns };
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
