// SPDX-License-Identifier: Apache-2.0

import type { WallClock } from '../flow/clock.ts';
import type { HostKnowledge } from '../flow/knowledge.ts';
import type { Followed } from '../flow/trails.ts';
import type { Flow } from '../wire/types.gen.ts';
import type { Finding } from './finding.ts';
import { findingId, flowOf, severityOf, tell } from './occurrence.ts';
import type { Occurrence } from './open-finding.ts';
import { addEvent, addFlow, EventLine, type OpenFinding, openFinding } from './open-finding.ts';
import { flowIn } from './repeatable.ts';
import type { Explained } from './repeats.ts';
import { flowText } from './texts.ts';
import { BENIGN, UNEXPLAINED } from './unexplained.ts';

export type CountListener = (finding: Finding, flow: Flow, count: number, time_ns: number) => void;

/** What was only counted, and what it would have become. */
export interface Repeated {
  record(number: number): Followed<Explained> | null;
  explain(followed: Followed<Explained>): Occurrence[];
}

/** Above it a cause's further occurrences are told of together. */
const MAX_FINDINGS = 20_000;

/** The findings as they grow. What they say is made when somebody asks: most of it is never shown. */
export class Findings {
  unexplained = 0;
  benign = 0;
  onCount: CountListener | null = null;
  readonly #all = new Map<string, OpenFinding>();
  readonly #changed = new Set<OpenFinding>();
  /** One of these: in a storm mostly the next one too. */
  #repeated_last: OpenFinding | null = null;
  readonly #known: HostKnowledge;
  readonly #clock: WallClock;
  readonly #max: number;
  readonly #repeated: Repeated;
  #merged = 0;

  constructor(known: HostKnowledge, clock: WallClock, repeated: Repeated, max = MAX_FINDINGS) {
    this.#known = known;
    this.#clock = clock;
    this.#repeated = repeated;
    this.#max = max;
  }

  get all(): ReadonlyMap<string, OpenFinding> {
    for (const open of this.#changed) this.#tell(open);
    for (const open of this.#all.values()) this.#listRepeats(open);
    return this.#all;
  }

  /** Those that changed since the last call; one that was explained better since has count 0. */
  takeChanged(): Finding[] {
    const changed = [...this.#changed].map((open) => this.#tell(open));
    this.#changed.clear();
    this.#repeated_last = null;
    return changed;
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
    if (!open && this.#all.size >= this.#max) {
      id = `${occurrence.cause.id} *`;
      open = this.#all.get(id);
      this.#merged += occurrence.count;
    }
    if (!open) {
      open = openFinding(this.#finding(id, occurrence, this.#timeOf(occurrence)));
      this.#all.set(id, open);
    }
    return open;
  }

  add(open: OpenFinding, occurrence: Occurrence): void {
    const { match, event, seq } = occurrence;
    const time_ns = this.#timeOf(occurrence);
    this.#tellRepeats(open);
    this.#listRepeats(open);
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

  /** So many more of a cause, by the record of that number, which was only counted. */
  repeat(open: OpenFinding, number: number, count: number): void {
    open.finding.count += count;
    open.repeats.push(number);
    open.repeated_flows.push(number);
    if (open === this.#repeated_last) return;
    this.#repeated_last = open;
    this.#changed.add(open);
  }

  /** The finding as it stands. */
  #tell(open: OpenFinding): Finding {
    this.#tellRepeats(open);
    return tell(open);
  }

  #tellRepeats(open: OpenFinding): void {
    let newest: Followed<Explained> | null = null;
    for (const number of open.repeats.take()) {
      const followed = this.#repeated.record(number);
      if (!followed) continue;
      newest = followed;
      const { record, seq } = followed;
      const time_ns = this.#clock.at(record.ktime_ns);
      addEvent(open, new EventLine(seq, time_ns, record, this.#known));
    }
    if (!newest) return;
    const occurrence = this.#repeated.explain(newest).find(({ finding }) => finding === open);
    if (occurrence) this.#tellNext(open, occurrence);
  }

  #listRepeats(open: OpenFinding): void {
    for (const number of open.repeated_flows.take()) {
      const followed = this.#repeated.record(number);
      if (!followed) continue;
      const { record, count } = followed;
      const last_ns = this.#clock.at(record.ktime_ns);
      addFlow(open, flowText(flowIn(record)), count, last_ns);
    }
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
