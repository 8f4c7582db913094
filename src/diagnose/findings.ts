// SPDX-License-Identifier: Apache-2.0

import { type Severity, weight } from '../causes/define.ts';
import type { WallClock } from '../known/clock.ts';
import type { HostKnowledge } from '../known/host-knowledge.ts';
import type { Event } from '../wire/event.ts';
import { type Shared, sharedBy } from '../wire/key.ts';
import type { Flow, Owner } from '../wire/types.gen.ts';
import { endsOf } from './ends.ts';
import type { Because, Finding } from './finding.ts';
import { MANY, Many, partsOf } from './many.ts';
import type { Occurrence } from './open-finding.ts';
import {
  addEvent,
  addFlow,
  type Counting,
  countingOf,
  EventLine,
  lastOf,
  MAX_FLOWS,
  type OpenFinding,
  openFinding,
} from './open-finding.ts';
import { BENIGN, UNEXPLAINED } from './unexplained.ts';
import { findingId, flowOf, severityOf, tell } from './verdict.ts';

/** `flow` is null where it is no longer known, of many connections, which of them it was. */
export type CountListener = (
  finding: Finding,
  flow: Flow | null,
  count: number,
  time_ns: number,
) => void;

/** More of one cause are told of together, and so are more in all. */
const MOST_OF_CAUSE = 500;
const MAX_FINDINGS = 2000;
/** After which it is over: what fails then is told apart from it, and where there is no room, it gives up its place. */
const QUIET_NS = 600e9;

/** The findings of one cause at one host, while each has a finding of its own, or the one that tells of all. */
type OfHost = { apart: Set<OpenFinding>; together: OpenFinding | null };

/** The findings as they grow. What they say is made when somebody asks: most of it is never shown. */
export class Findings {
  unexplained = 0;
  benign = 0;
  onCount: CountListener | null = null;
  readonly #all = new Map<string, OpenFinding>();
  readonly #changed = new Set<OpenFinding>();
  /** Those whose newest occurrence came since the last tick. */
  readonly #unplaced = new Map<OpenFinding, Occurrence>();
  readonly #known: HostKnowledge;
  readonly #clock: WallClock;
  readonly #max: number;
  #merged = 0;
  readonly #hosts = new Map<string, OfHost>();
  readonly #host_ids = new WeakMap<OpenFinding, string>();
  /** Until when there is no room for more, of a cause or of all (''). */
  readonly #full_until = new Map<string, number>();
  readonly #of_cause = new Map<string, number>();

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

  /** The finding that an occurrence belongs to: with those that it stands for, where it does for other subjects. */
  openFor(occurrence: Occurrence): OpenFinding {
    const shared = occurrence.count > 1 ? sharedBy(occurrence.event.key) : null;
    return shared === null ? this.#apart(occurrence) : this.#ofShared(occurrence, shared);
  }

  /** Where others go that were counted with it, and are not told of by themselves. */
  openForMore(occurrence: Occurrence): OpenFinding | null {
    const shared = sharedBy(occurrence.event.key);
    return shared === null ? occurrence.finding : this.#ofShared(occurrence, shared);
  }

  #ofShared(occurrence: Occurrence, shared: Shared): OpenFinding {
    const open = shared === 'host' ? this.#ofHost(occurrence) : this.#ofCause(occurrence);
    open.many?.thereAreMore();
    return open;
  }

  #apart(occurrence: Occurrence): OpenFinding {
    const id = findingId(occurrence);
    const known = this.#all.get(id);
    if (known) return known;
    const host = this.#hosts.get(hostId(occurrence));
    const { ktime_ns } = occurrence.event;
    // A scan that is long over takes in no service that fails now.
    if (host?.together && ktime_ns - host.together.newest_ktime_ns > QUIET_NS) host.together = null;
    if (host && (host.together || host.apart.size >= MANY)) return this.#ofHost(occurrence);
    if (this.#isFull(occurrence)) {
      this.#merged += occurrence.count;
      return this.#ofCause(occurrence);
    }
    const open = this.#begin(id, occurrence);
    this.#hostOf(occurrence, open).apart.add(open);
    return open;
  }

  /** The one that tells of all that happened at its host: it takes in those that told of it before. */
  #ofHost(occurrence: Occurrence): OpenFinding {
    const host = this.#hosts.get(hostId(occurrence)) ?? { apart: new Set(), together: null };
    if (host.together) return host.together;
    const id = hostId(occurrence);
    const known = this.#all.get(id);
    if (!known && host.apart.size === 0 && this.#isFull(occurrence))
      return this.#ofCause(occurrence);
    const open = known ?? this.#together(this.#begin(id, occurrence));
    this.#hostOf(occurrence, open).together = open;
    for (const one of host.apart) this.#takeIn(open, one);
    host.apart.clear();
    return open;
  }

  #ofCause(occurrence: Occurrence): OpenFinding {
    const id = causeId(occurrence.cause.id, occurrence.because);
    return this.#all.get(id) ?? this.#together(this.#begin(id, occurrence));
  }

  #together(open: OpenFinding): OpenFinding {
    open.many = new Many();
    return open;
  }

  /** Whether there is no room for one more, nor any that gives up its place. */
  #isFull({ cause, event }: Occurrence): boolean {
    const of_cause = (this.#of_cause.get(cause.id) ?? 0) >= MOST_OF_CAUSE;
    if (!of_cause && this.#all.size < this.#max) return false;
    const scope = of_cause ? cause.id : '';
    if (event.ktime_ns < (this.#full_until.get(scope) ?? 0)) return true;
    const others = [...this.#all.values()]
      .filter(({ finding }) => this.#isApart(finding) && (!of_cause || finding.cause === cause.id))
      .sort((a, b) => a.newest_ktime_ns - b.newest_ktime_ns);
    const quiet = others
      .slice(0, Math.ceil(others.length / 2))
      .filter(({ newest_ktime_ns }) => event.ktime_ns - newest_ktime_ns > QUIET_NS);
    for (const one of quiet) this.#giveUp(one);
    if (quiet.length > 0) return false;
    const [oldest] = others;
    this.#full_until.set(scope, (oldest?.newest_ktime_ns ?? event.ktime_ns) + QUIET_NS);
    return true;
  }

  #isApart({ id, cause, because }: Finding): boolean {
    return id !== causeId(cause, because) && cause !== BENIGN.id;
  }

  /** From here on it is told of with others of its cause. */
  #giveUp(one: OpenFinding): void {
    const { finding } = one;
    const id = causeId(finding.cause, finding.because);
    const known = this.#all.get(id);
    const open = known ?? this.#together(this.#open({ ...finding, id, count: 0 }));
    this.#takeIn(open, one);
    const host_id = this.#host_ids.get(one) ?? '';
    const host = this.#hosts.get(host_id);
    host?.apart.delete(one);
    if (host?.together === one) host.together = null;
    if (host?.apart.size === 0 && !host.together) this.#hosts.delete(host_id);
  }

  #hostOf(occurrence: Occurrence, open: OpenFinding): OfHost {
    const id = hostId(occurrence);
    const host = this.#hosts.get(id) ?? { apart: new Set(), together: null };
    this.#hosts.set(id, host);
    this.#host_ids.set(open, id);
    return host;
  }

  #begin(id: string, occurrence: Occurrence): OpenFinding {
    return this.#open(this.#finding(id, occurrence, this.#timeOf(occurrence)));
  }

  #open(finding: Finding): OpenFinding {
    const open = openFinding(finding);
    this.#all.set(finding.id, open);
    this.#of_cause.set(finding.cause, (this.#of_cause.get(finding.cause) ?? 0) + 1);
    return open;
  }

  #takeIn(open: OpenFinding, one: OpenFinding): void {
    const { finding } = open;
    finding.count += one.finding.count;
    finding.first_ns = Math.min(finding.first_ns, one.finding.first_ns);
    finding.last_ns = Math.max(finding.last_ns, one.finding.last_ns);
    if (one.finding.basis === 'inferred') finding.basis = 'inferred';
    this.raise(open, one.finding.severity);
    for (const { flow, count, last_ns } of one.flows.values()) {
      addFlow(open, flow, count, last_ns);
      open.many?.add(flow, one.finding.flow.netns);
    }
    if (one.flows.size === MAX_FLOWS) open.many?.thereAreMore();
    if (one.many) open.many?.takeIn(one.many);
    for (const line of one.events) addEvent(open, line);
    const unplaced = this.#unplaced.get(one);
    this.#unplaced.delete(one);
    if (one.newest_seq > open.newest_seq) {
      if (unplaced) this.#unplaced.set(open, unplaced);
      else if (one.finding.ends) finding.ends = one.finding.ends;
      else delete finding.ends;
      open.newest_seq = one.newest_seq;
      open.untold = one.untold ?? one.told;
      finding.process = one.finding.process;
    }
    open.newest_ktime_ns = Math.max(open.newest_ktime_ns, one.newest_ktime_ns);
    one.finding.count = 0;
    one.into = open;
    // It says of how many it tells by now.
    open.untold ??= open.told;
    // It may be asked for long after: only where it went.
    one.untold = null;
    one.told = null;
    one.flows = new Map();
    one.events = [];
    one.connections = [];
    one.many = null;
    this.#all.delete(one.finding.id);
    this.#of_cause.set(finding.cause, (this.#of_cause.get(finding.cause) ?? 1) - 1);
    this.#changed.add(one);
    this.#changed.add(open);
  }

  /** A connection failed of it: it weighs as much as that. */
  raise(grown: OpenFinding, severity: Severity): void {
    const open = lastOf(grown);
    if (weight(severity) <= weight(open.finding.severity)) return;
    open.finding.severity = severity;
    this.#changed.add(open);
  }

  add(open: OpenFinding, occurrence: Occurrence): void {
    const { match, event, seq } = occurrence;
    const time_ns = this.#timeOf(occurrence);
    this.#tellNext(open, occurrence);
    addFlow(open, match.flow, occurrence.count, time_ns);
    if (match.again || open.many) this.raise(open, severityOf(occurrence));
    open.many?.add(match.flow, event.netns);
    addEvent(open, new EventLine(seq, time_ns, event, this.#known));
    this.count(open, countingOf(occurrence), occurrence.count);
  }

  /** So many more like that one, or fewer. */
  count(grown: OpenFinding, { cause, flow, ktime_ns }: Counting, count: number): void {
    const open = lastOf(grown);
    open.finding.count += count;
    this.onCount?.(open.finding, flow, count, this.#clock.at(ktime_ns));
    if (cause.id === UNEXPLAINED.id) this.unexplained += count;
    if (cause === BENIGN) this.benign += count;
    this.#changed.add(open);
  }

  /** The finding says what was seen of this one from now on, if no newer one was. */
  #tellNext(open: OpenFinding, occurrence: Occurrence): void {
    const { match, event, seq } = occurrence;
    const { finding } = open;
    const time_ns = this.#timeOf(occurrence);
    finding.last_ns = Math.max(finding.last_ns, time_ns);
    finding.first_ns = Math.min(finding.first_ns, time_ns);
    open.newest_ktime_ns = Math.max(open.newest_ktime_ns, event.ktime_ns);
    if (match.basis === 'inferred') finding.basis = 'inferred';
    if (seq < open.newest_seq) return;
    open.newest_seq = seq;
    open.untold = occurrence;
    this.#unplaced.set(open, occurrence);
    // A recording may name one without a number.
    if (match.owner && match.owner.pid > 0) finding.process = this.#process(match.owner, event);
  }

  /** At a tick: where both ends are is known once both have told of it. */
  place(): void {
    for (const [open, { match, event }] of this.#unplaced) {
      const { finding } = open;
      const ends = endsOf(this.#known.residents(match.flow, event), finding.process);
      if (ends) finding.ends = ends;
      else delete finding.ends;
      this.#changed.add(open);
    }
    this.#unplaced.clear();
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

  #process(owner: Owner, event: Event) {
    const { pid, comm } = owner;
    return { pid, comm, container: this.#known.place(owner, event).container };
  }
}

/** Of all findings of one cause at one host. */
function hostId({ cause, match, event, because }: Occurrence): string {
  return `${cause.id} ${event.netns} at ${partsOf(match.flow).host}${becauseOf(because)} *`;
}

/** Of all of one cause: apart from those that came of another. */
function causeId(cause: string, because: Because | null): string {
  return `${cause}${becauseOf(because)} *`;
}

const becauseOf = (because: Because | null) => (because ? ` because of ${because.cause}` : '');
