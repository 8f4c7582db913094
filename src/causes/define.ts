// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../known/knowledge.ts';
import type { Event } from '../wire/event.ts';
import type { EventKind } from '../wire/kinds.gen.ts';
import type { Flow, Owner } from '../wire/types.gen.ts';
import type { Fact } from './facts.ts';
import type { Symptom } from './symptoms.ts';

/** How much a finding asks of whoever reads it. */
export type Severity = (typeof SEVERITIES)[number];

/** The lightest first. */
export const SEVERITIES = ['info', 'warning', 'error'] as const;

/** Orders severities: what weighs more is greater. */
export function weight(severity: Severity): number {
  return SEVERITIES.indexOf(severity);
}

/** `direct`: the hook saw the decision itself. `inferred`: it follows from what was seen around it. */
export type Basis = 'direct' | 'inferred';

export type Subject = 'flow' | 'listener' | 'host';

export type EvidenceValue =
  | string
  | number
  | boolean
  | null
  | EvidenceValue[]
  | { [name: string]: EvidenceValue };

/** Plain data by name; units are suffixes of the name. */
export type Evidence = { [name: string]: EvidenceValue };

/** A cause that one event proves. */
export interface Match<E extends Evidence> {
  evidence: E;
  basis: Basis;
  subject: Subject;
  /** The subject in a few words: a listener's end, the service of a connection, an interface. */
  where: string;
  /** What the finding is about, as its `flow` shows it: saddr:sport the local end, or a packet's sender. */
  flow: Flow;
  /** Other connections of the same story, where the event itself does not name them. */
  related?: readonly Flow[];
  /** Occurrences with the same group are one finding; it is part of the cause's own name space. */
  group: string;
  owner: Owner | null;
  /** It came of the failure of another connection: the cause of that goes into this evidence. */
  cameOf?: { flow: Flow; evidence: string };
  /** Event time at which what failed began: what happened before is not why. */
  began_ns?: number;
  /** Where this occurrence says more or less than the cause usually does. */
  severity?: Severity;
  /** It weighs so little only as far as this end can tell: where the other one had more to say, as much as that. */
  as_far_as_known?: true;
  /** This end had more to say. */
  had_more?: true;
  /** What comes of it, however much later, may take its place. */
  goes_on?: true;
  /** It says what has become of an occurrence that was counted before. */
  again?: true;
  /** Whose window is shut. Both ends may keep theirs shut at once: those are two failures. */
  shut_by?: string;
  /** It is of no connection that is known: nothing else is of the same failure, or came of it. */
  apart?: true;
}

/** One reason why TCP failed: when it holds, and what to say then. Pure: nothing but its arguments. */
export interface Cause<E extends Evidence = Evidence> {
  /** Kebab-case, the folder's name; never renamed, never reused. */
  id: string;
  title: string;
  severity: Severity;
  /** What it explains, for the table in the README: one sentence. */
  explains: string;
  /** What people see of it, who find its page by that: of this end or the other. */
  seenAs: readonly Symptom[];
  /** Packets alone prove it, or their shape tells it: docs/explain.md. */
  packets?: true;
  /** What packets show where they do not tell why: whoever watches the kernel names a cause in its place. */
  symptom?: true;
  /** Where one is missing the cause is not observable. */
  needs: readonly Fact[];
  /** Kinds of events that can prove it. */
  on: readonly EventKind[];
  /** Causes of the same failure that say less: this one stands for them. */
  supersedes?: readonly string[];
  /**
   * Causes that this one is the reason for when both meet one connection, however much later: the
   * finding of the other then names this one, as information.
   */
  leadsTo?: readonly string[];
  /** Where one of the same failure leads to it, that says all: it stands for this one too. */
  gives_way?: true;
  match(event: Event, known: Knowledge): Match<E> | null;
  /** One line: what happened, with the values seen. */
  summary(evidence: E, flow: Flow): string;
  /**
   * What to do, each with the object, the value seen and the command: complete, for a shell, and between
   * backticks. What the reader has to know is a word in capitals (`DEV`, `ROUTER`, `TABLE`).
   */
  advice(evidence: E, flow: Flow): string[];
  /** Where it is so on many ports of one host: what that is, and what to do then. */
  ofMany?: { scan: string; advice(evidence: E, flow: Flow): string[] };
}

export function defineCause<E extends Evidence>(cause: Cause<E>): Cause<E> {
  return cause;
}
