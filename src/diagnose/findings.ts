// SPDX-License-Identifier: Apache-2.0

import { type Severity, weight } from '../causes/define.ts';
import type { WallClock } from '../flow/clock.ts';
import type { HostKnowledge } from '../flow/knowledge.ts';
import type { Flow } from '../wire/types.gen.ts';
import type { Finding } from './finding.ts';
import { findingId, flowOf, severityOf, tell } from './occurrence.ts';
import type { Occurrence } from './open-finding.ts';
import { addEvent, addFlow, EventLine, type OpenFinding, openFinding } from './open-finding.ts';
import { flowText } from './texts.ts';
import { BENIGN, UNEXPLAINED } from './unexplained.ts';

export type CountListener = (finding: Finding, flow: Flow, count: number, time_ns: number) => void;

/** Above it a cause's further occurrences are told of together. */
const MAX_FINDINGS = 5000;
/** Of what no cause explains, and of what is ordinary: they leave room for the others. */
const MAX_REST = 2000;

/** The findings as they grow. What they say is made when somebody asks: most of it is never shown. */
export class Findings {
  unexplained = 0;
  benign = 0;
  onCount: CountListener | null = null;
  readonly #all = new Map<string, OpenFinding>();
  readonly #changed = new Set<OpenFinding>();
  readonly #known: HostKnowledge;
  readonly #clock: WallClock;
  readonly #max: number;
  #merged = 0;
  #rest = 0;

  constructor(known: HostKnowledge, clock: WallClock, max = MAX_FINDINGS) {
    this.#known = known;
    this.#clock = clock;
    this.#max = max;
  }

  get all(): ReadonlyMap<string, OpenFinding> {
    for (const open of this.#changed) tell(open);
    return this.#all;
  }

  /**
   * Those that changed since they were taken last; one that was explained better since has count 0. What is not
   * due is left for later.
   */
  takeChanged(isDue: (id: string) => boolean = () => true): Finding[] {
    const taken: Finding[] = [];
    for (const open of this.#changed) {
      if (!isDue(open.finding.id)) continue;
      this.#changed.delete(open);
      taken.push(tell(open));
    }
    return taken;
  }

  /** Occurrences since the last call that found no room for a finding of their own. */
  takeMerged(): number {
    const merged = this.#merged;
    this.#merged = 0;
    return merged;
  }

  /** The finding that an occurrence belongs to. */
  openFor(occurrence: Occurrence): OpenFinding {
    let id = findingId(occurrence);
    let open = this.#all.get(id);
    const isRest = occurrence.cause === BENIGN || occurrence.cause === UNEXPLAINED;
    if (!open && (this.#all.size >= this.#max || (isRest && this.#rest >= MAX_REST))) {
      id = `${occurrence.cause.id} *`;
      open = this.#all.get(id);
      this.#merged += occurrence.count;
    }
    if (!open) {
      open = openFinding(this.#finding(id, occurrence, this.#timeOf(occurrence)));
      this.#all.set(id, open);
      if (isRest) this.#rest++;
    }
    return open;
  }

  /** A connection failed of it: it weighs as much as that. */
  raise(open: OpenFinding, severity: Severity): void {
    if (weight(severity) <= weight(open.finding.severity)) return;
    open.finding.severity = severity;
    this.#changed.add(open);
  }

  add(open: OpenFinding, occurrence: Occurrence): void {
    const { match, event, seq } = occurrence;
    const time_ns = this.#timeOf(occurrence);
    this.#tellNext(open, occurrence);
    addFlow(open, flowText(match.flow), occurrence.count, time_ns);
    addEvent(open, new EventLine(seq, time_ns, event, this.#known));
    this.count(open, occurrence, occurrence.count);
  }

  /** So many more like that one, or fewer. */
  count(open: OpenFinding, occurrence: Occurrence, count: number): void {
    const { cause, match } = occurrence;
    open.finding.count += count;
    this.onCount?.(open.finding, match.flow, count, this.#timeOf(occurrence));
    if (cause === UNEXPLAINED) this.unexplained += count;
    if (cause === BENIGN) this.benign += count;
    this.#changed.add(open);
  }

  /** The finding says what was seen of this one from now on, if no newer one was. */
  #tellNext(open: OpenFinding, occurrence: Occurrence): void {
    const { match, seq } = occurrence;
    const { finding } = open;
    const time_ns = this.#timeOf(occurrence);
    finding.last_ns = Math.max(finding.last_ns, time_ns);
    finding.first_ns = Math.min(finding.first_ns, time_ns);
    if (match.basis === 'inferred') finding.basis = 'inferred';
    if (seq < open.newest_seq) return;
    open.newest_seq = seq;
    open.untold = occurrence;
    if (match.owner) finding.process = this.#process(match.owner);
  }

  #timeOf({ event }: Occurrence): number {
    return this.#clock.at(event.ktime_ns);
  }

  #finding(id: string, occurrence: Occurrence, time_ns: number): Finding {
    const { cause, match, because } = occurrence;
    return {
      id,
      cause: cause.id,
      because,
      severity: severityOf(occurrence),
      basis: match.basis,
      title: cause.title,
      summary: '',
      subject: match.subject,
      where: match.where,
      flow: flowOf(occurrence),
      process: null,
      count: 0,
      first_ns: time_ns,
      last_ns: time_ns,
      evidence: match.evidence,
      advice: [],
      events: [],
    };
  }

  #process({ pid, comm, cgroup }: { pid: number; comm: string; cgroup: string }) {
    return { pid, comm, container: this.#known.container(cgroup) };
  }
}
