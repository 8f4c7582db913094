// SPDX-License-Identifier: Apache-2.0

import { type Cause, endpoint, type Match } from '../causes/define.ts';
import type { HostKnowledge } from '../flow/knowledge.ts';
import { perFlow } from '../flow/per-flow.ts';
import { Queue } from '../flow/queue.ts';
import { Recent } from '../flow/recent.ts';
import type { Event } from '../wire/decode.ts';
import type { Before, Flow } from '../wire/types.gen.ts';
import { benign } from './benign.ts';
import { connectionId, ends } from './connection.ts';
import { Counts } from './counts.ts';
import { flowText } from './describe.ts';
import type { Evidence, Finding } from './finding.ts';
import { findingId, type Occurrence, severityOf } from './occurrence.ts';
import { addEvent, addFlow, EventLine, flowOf, type OpenFinding, tell } from './open-finding.ts';
import { Reasons } from './reasons.ts';
import { BENIGN, packetOf, UNEXPLAINED, unexplained } from './unexplained.ts';

export type CountListener = (finding: Finding, flow: Flow, count: number, time_ns: number) => void;

/** Longer than the two ends of one failure on one host are apart, shorter than anyone waits for. */
const SETTLE_NS = 300e6;
const SAME_FAILURE_NS = 2e9;
/** A connect that is given up at last was refused for the first time up to two minutes before. */
const WHY_NS = 130e9;
/** A packet's answer and its drop come from one call; its retransmission is at least 200 ms later. */
const SAME_PACKET_NS = 50e6;
const MAX_RECENT = 20_000;
/** Above it a cause's further occurrences are told of together. */
const MAX_FINDINGS = 20_000;
/** After which nothing more becomes of an event. */
export const FINAL_NS = SAME_FAILURE_NS + SETTLE_NS;

/**
 * Runs the causes on each event and keeps the findings. Pure in time and order: the same events give
 * the same findings. What a cause that says more may still take over is held for SETTLE_NS.
 */
export class Engine {
  unexplained = 0;
  benign = 0;
  /** Told of occurrences as they are counted; what a better explanation took away again is negative. */
  onCount: CountListener | null = null;
  readonly #findings = new Map<string, OpenFinding>();
  readonly #byKind = new Map<string, Cause[]>();
  readonly #supersededBy = new Map<string, Set<string>>();
  readonly #known: HostKnowledge;
  readonly #max_findings: number;
  #merged = 0;
  readonly #clock_offset_ns: number;
  readonly #counts = new Counts();
  readonly #targets = new Map<string, Occurrence[]>();
  readonly #held = new Queue<Occurrence>();
  readonly #connections = new Recent<Occurrence[]>(SAME_FAILURE_NS, MAX_RECENT);
  /** Why connections failed that others may have failed because of: the first cause of each. */
  readonly #whys = new Recent<Occurrence>(WHY_NS, MAX_RECENT);
  readonly #services = new Recent<Occurrence>(SAME_FAILURE_NS, MAX_RECENT);
  /** By causes that others may be superseded by: their keys in #services. */
  readonly #serviceKeys = new Map<string, (flow: Flow) => readonly string[]>();
  readonly #packets = new Recent<Occurrence[]>(SAME_PACKET_NS, MAX_RECENT);
  readonly #reasons: Reasons;
  readonly #changed = new Set<OpenFinding>();

  constructor(
    causes: readonly Cause[],
    known: HostKnowledge,
    clock_offset_ns: number,
    max_findings = MAX_FINDINGS,
  ) {
    this.#known = known;
    this.#max_findings = max_findings;
    this.#clock_offset_ns = clock_offset_ns;
    this.#reasons = new Reasons(causes, (key) => this.#counts.sampled(key));
    for (const cause of causes) {
      for (const kind of cause.on)
        this.#byKind.set(kind, [...(this.#byKind.get(kind) ?? []), cause]);
      if (cause.supersedes) {
        const keys = perFlow((flow) => ends(flow).map((end) => `${cause.id} ${end}`));
        this.#serviceKeys.set(cause.id, keys);
      }
      for (const less of cause.supersedes ?? []) {
        const by = this.#supersededBy.get(less) ?? new Set();
        this.#supersededBy.set(less, by.add(cause.id));
      }
    }
  }

  /**
   * An event in its order; `seq` is its number in the stream. Returns what it is an occurrence of,
   * which is final when event time has gone on by FINAL_NS.
   */
  accept(event: Event, seq: number): readonly Occurrence[] {
    if (this.#known.learn(event)) return [];
    const count = this.#counts.record(event.key, event.occurrences);
    const occurrences = this.#explain(event).map(
      ([cause, match]): Occurrence => ({
        cause,
        match,
        event,
        seq,
        count,
        by: null,
        because: null,
        finding: null,
      }),
    );
    const packet = packetId(event);
    if (packet) {
      const same = this.#packets.get(packet, event.ktime_ns);
      if (same && this.#companion(event, same, occurrences)) return same;
      if (!same && this.#companionBefore(event, occurrences)) return [];
      if (event.kind !== 'drop') this.#packets.set(packet, occurrences, event.ktime_ns);
    }
    if (event.key !== '0') this.#targets.set(event.key, occurrences);
    for (const occurrence of occurrences) this.#place(occurrence);
    return occurrences;
  }

  /** Exact totals: occurrences that never became a record go where the last record of their key went. */
  total(key: string, exact: number): void {
    const targets = this.#targets.get(key);
    if (!targets) return;
    const count = this.#counts.total(key, exact);
    for (const target of targets) {
      if (target.finding && !target.by) this.#add(target.finding, target, count);
      else if (!target.by) target.count += count;
    }
  }

  /** What was counted before the stream began. */
  before({ keys }: Before): void {
    for (const { key, count, pending } of keys) this.#counts.before(key, count, pending);
  }

  /** Event time has come to `ktime_ns`: what was held long enough is settled. */
  advance(ktime_ns: number): void {
    for (let oldest = this.#held.oldest; oldest; oldest = this.#held.oldest) {
      if (ktime_ns - oldest.event.ktime_ns <= SETTLE_NS) return;
      this.#held.shift();
      this.#commit(oldest);
    }
  }

  /** No more events: settles everything. */
  finish(): void {
    this.advance(Number.POSITIVE_INFINITY);
  }

  get findings(): ReadonlyMap<string, OpenFinding> {
    for (const open of this.#changed) tell(open);
    return this.#findings;
  }

  /** Findings that changed since the last call; one that was explained better since has count 0. */
  takeChanged(): Finding[] {
    const changed = [...this.#changed].map((open) => tell(open));
    this.#changed.clear();
    return changed;
  }

  /** Occurrences since the last call that found no room for a finding of their own. */
  takeMerged(): number {
    const merged = this.#merged;
    this.#merged = 0;
    return merged;
  }

  #explain(event: Event): [Cause, Match<Evidence>][] {
    const matches: [Cause, Match<Evidence>][] = [];
    for (const cause of this.#byKind.get(event.kind) ?? []) {
      const match = cause.match(event, this.#known);
      if (match) matches.push([cause, withToa(match, event)]);
    }
    const kept = matches.filter(
      ([cause]) => !matches.some(([other]) => other.supersedes?.includes(cause.id)),
    );
    if (kept.length > 0) return kept;
    const ordinary = benign(event, this.#known);
    const rest = unexplained(event, ordinary, this.#known);
    return rest ? [[ordinary ? BENIGN : UNEXPLAINED, rest]] : [];
  }

  /** What becomes of a packet that was answered or refused before is the same failure seen again. */
  #companion(event: Event, same: Occurrence[], fresh: Occurrence[]): boolean {
    const crossed = same.some((other) => other.event.kind === 'crossed_reply');
    if (event.kind !== 'drop' && event.kind !== 'syn_received' && !crossed) return false;
    const says = fresh.find(
      ({ cause }) =>
        cause !== UNEXPLAINED &&
        same.every(
          ({ cause: less }) => less === UNEXPLAINED || cause.supersedes?.includes(less.id),
        ),
    );
    if (says) {
      for (const occurrence of same) this.#withdraw(occurrence, says);
      return false;
    }
    this.#targets.set(event.key, []);
    return true;
  }

  /** The answer to this packet was not sampled, but those of its key before it were answered. */
  #companionBefore(event: Event, fresh: Occurrence[]): boolean {
    if (event.kind !== 'drop' || fresh.some(({ cause }) => cause !== UNEXPLAINED)) return false;
    return this.#targets.get(event.key)?.length === 0;
  }

  #place(occurrence: Occurrence): void {
    const { event, cause, match } = occurrence;
    const connection = connectionId(match.flow);
    const others = this.#connections.get(connection, event.ktime_ns) ?? [];
    occurrence.by = this.#stronger(occurrence, others);
    if (occurrence.by) return;
    occurrence.because = this.#reasons.of(cause, match, event);
    this.#reasons.note(cause, match, event);
    for (const other of others) {
      if (cause.supersedes?.includes(other.cause.id)) this.#withdraw(other, occurrence);
    }
    this.#connections.set(
      connection,
      [...others.filter(({ by }) => !by), occurrence].slice(-8),
      event.ktime_ns,
    );
    const first = !this.#whys.get(connection, event.ktime_ns);
    if (first && cause !== BENIGN && cause !== UNEXPLAINED)
      this.#whys.set(connection, occurrence, event.ktime_ns);
    for (const key of this.#serviceKeys.get(cause.id)?.(match.flow) ?? [])
      this.#services.set(key, occurrence, event.ktime_ns);
    if (this.#supersededBy.has(cause.id) || cause === UNEXPLAINED) this.#held.push(occurrence);
    else this.#commit(occurrence);
  }

  /**
   * A cause of the same failure that says more. Records of the two ends are sampled each on its own:
   * where some are missing, the same service at the same time stands for the same connection.
   */
  #stronger(occurrence: Occurrence, others: Occurrence[]): Occurrence | null {
    const { cause, event, match } = occurrence;
    const by = this.#supersededBy.get(cause.id);
    if (!by) return null;
    const exact = others.find((other) => by.has(other.cause.id));
    if (exact) return exact;
    for (const id of by) {
      for (const key of this.#serviceKeys.get(id)?.(match.flow) ?? []) {
        const near = this.#services.get(key, event.ktime_ns);
        if (near && (event.occurrences > 1 || this.#counts.sampled(near.event.key))) return near;
      }
    }
    return null;
  }

  /** Why a connection failed, or failed first. */
  #why(flow: Flow, ktime_ns: number): Occurrence | undefined {
    let why = this.#whys.get(connectionId(flow), ktime_ns);
    while (why?.by) why = why.by;
    return why;
  }

  #withdraw(occurrence: Occurrence, by: Occurrence): void {
    if (occurrence.by) return;
    occurrence.by = by;
    if (occurrence.finding) this.#add(occurrence.finding, occurrence, -occurrence.count);
  }

  #commit(occurrence: Occurrence): void {
    // By now what says more may have turned out to be sampled.
    occurrence.by ??= this.#stronger(occurrence, []);
    if (occurrence.by) return;
    const { match, event, seq } = occurrence;
    let id = findingId(occurrence);
    const time_ns = event.ktime_ns + this.#clock_offset_ns;
    let open = this.#findings.get(id);
    if (!open && this.#findings.size >= this.#max_findings) {
      id = `${occurrence.cause.id} *`;
      open = this.#findings.get(id);
      this.#merged += occurrence.count;
    }
    if (!open) {
      const finding = this.#finding(id, occurrence, time_ns);
      open = { finding, flows: new Map(), events: [], connections: [], untold: null };
      this.#findings.set(id, open);
    }
    occurrence.finding = open;
    const { finding } = open;
    finding.last_ns = Math.max(finding.last_ns, time_ns);
    finding.first_ns = Math.min(finding.first_ns, time_ns);
    if (match.broughtOnBy) {
      const { flow, evidence } = match.broughtOnBy;
      match.evidence[evidence] = this.#why(flow, event.ktime_ns)?.cause.id ?? null;
    }
    open.untold = occurrence;
    if (match.owner) finding.process = this.#process(match.owner);
    if (match.basis === 'inferred') finding.basis = 'inferred';
    addFlow(open, flowText(match.flow), occurrence.count, time_ns);
    addEvent(open, new EventLine(seq, time_ns, event, this.#known));
    this.#add(open, occurrence, occurrence.count);
  }

  #add(open: OpenFinding, { cause, match, event }: Occurrence, count: number): void {
    open.finding.count += count;
    this.onCount?.(open.finding, match.flow, count, event.ktime_ns + this.#clock_offset_ns);
    if (cause === UNEXPLAINED) this.unexplained += count;
    if (cause === BENIGN) this.benign += count;
    this.#changed.add(open);
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

/** With whom the sender says it connects for, where its packet says so: balancers do. */
function withToa(match: Match<Evidence>, event: Event): Match<Evidence> {
  const toa = packetOf(event)?.toa;
  if (!toa) return match;
  const connects_for = `${endpoint(toa.addr, toa.port)} (TCP option ${toa.kind})`;
  return { ...match, evidence: { ...match.evidence, connects_for } };
}

function packetId(event: Event): string | null {
  const packet = packetOf(event);
  return (
    packet && `${ends(packet.flow).join(' ')} ${packet.seq} ${packet.flags} ${packet.payload_len}`
  );
}
