// SPDX-License-Identifier: Apache-2.0

import { type Cause, type Evidence, type Match, weight } from '../causes/define.ts';
import type { WallClock } from '../known/clock.ts';
import type { HostKnowledge } from '../known/host-knowledge.ts';
import { Queue } from '../known/queue.ts';
import type { Event } from '../wire/event.ts';
import type { Before } from '../wire/types.gen.ts';
import { AssumedEnds } from './assumed-ends.ts';
import { benign } from './benign.ts';
import { Counts, type More } from './counts.ts';
import type { Finding } from './finding.ts';
import { type CountListener, Findings } from './findings.ts';
import { FoundBefore } from './found-before.ts';
import { Counted, countingOf, isWhole, type Occurrence, type OpenFinding } from './open-finding.ts';
import { resetOf } from './resets.ts';
import { withMptcp, withToa } from './said-of-packet.ts';
import { SAME_FAILURE_NS, type Stronger } from './same-failure.ts';
import { packetId } from './same-packet.ts';
import { BENIGN, flowsOf, UNEXPLAINED, unexplained } from './unexplained.ts';
import { severityOf } from './verdict.ts';

/** Longer than the two ends of one failure on one host are apart, shorter than anyone waits for. */
const SETTLE_NS = 300e6;
/** More at once come of no kernel, only in a file: the oldest are settled then. */
const MOST_HELD = 10_000;
/** After which nothing more becomes of an event. */
export const FINAL_NS = SAME_FAILURE_NS + SETTLE_NS;

type Told = Occurrence & { by: Occurrence };

/**
 * Runs the causes on each event and keeps the findings. Pure in time and order: the same events give
 * the same findings. What a cause that says more may still take over is held for SETTLE_NS.
 */
export class Engine {
  readonly #findings: Findings;
  readonly #byKind = new Map<string, Cause[]>();
  readonly #known: HostKnowledge;
  readonly #counts = new Counts();
  readonly #assumed = new AssumedEnds();
  readonly #held = new Queue<Occurrence>();
  /** Held until the next totals tell whether the other end has more occurrences than records. */
  #until_totals: Occurrence[] = [];
  readonly #before: FoundBefore;

  constructor(
    causes: readonly Cause[],
    known: HostKnowledge,
    clock: WallClock,
    max_findings?: number,
  ) {
    this.#known = known;
    this.#findings = new Findings(known, clock, max_findings);
    this.#before = new FoundBefore(causes, (key) => this.#counts.sampled(key));
    for (const cause of causes) {
      for (const kind of cause.on)
        this.#byKind.set(kind, [...(this.#byKind.get(kind) ?? []), cause]);
    }
  }

  /**
   * An event in its order; `seq` is its number in the stream. Returns what it is an occurrence of, which is
   * final when event time has gone on by FINAL_NS.
   */
  accept(record: Event, seq: number): readonly Occurrence[] {
    const event = this.#standingForMore(record);
    if (this.#known.learn(event)) return [];
    const count = this.#counts.record(event.key, event.occurrences);
    const occurrences = this.#explain(event).map(
      ([cause, match]): Occurrence => ({
        cause,
        match,
        event,
        reset: resetOf(event),
        seq,
        count: match.again ? 0 : count,
        by: null,
        because: null,
        finding: null,
      }),
    );
    const packet = packetId(event);
    const same = this.#before.samePacket.of(packet, event);
    if (same && this.#companion(event, same, occurrences)) return same;
    if (!same && this.#companionBefore(event, occurrences)) return [];
    this.#before.samePacket.add(packet, event, occurrences);
    this.#counts.went(
      event.key,
      occurrences.filter(({ match }) => !match.again),
    );
    for (const occurrence of occurrences) this.#place(occurrence);
    return occurrences;
  }

  /** A record of `key` that is only counted; false where none of its key was explained yet. */
  count(key: string): boolean {
    const more = this.#counts.tokenless(key);
    if (more) this.#give(more);
    return more !== null;
  }

  /** The exact total of a key: what never became a record is only counted too. */
  total(key: string, exact: number): void {
    const more = this.#counts.total(key, exact);
    if (more) this.#give(more);
  }

  #give({ count, went }: More): void {
    for (const occurrence of went) {
      this.#assumed.found(occurrence.cause.id, count);
      if (occurrence instanceof Counted) {
        if (occurrence.finding) this.#findings.count(occurrence.finding, occurrence, count);
        continue;
      }
      if (occurrence.by) {
        if (isWhole(occurrence)) this.#assumed.add(occurrence, count);
        continue;
      }
      const open = occurrence.finding && this.#findings.openForMore(occurrence);
      if (open) this.#findings.count(open, countingOf(occurrence), count);
      else occurrence.count += count;
    }
  }

  /** Whoever reads it sees how many it stands for: with those that were only counted. */
  #standingForMore(event: Event): Event {
    const more = this.#counts.takeTokenless(event.key);
    return more === 0 ? event : { ...event, occurrences: event.occurrences + more };
  }

  /** What was counted before the stream began. */
  before({ keys }: Before): void {
    for (const { key, count, pending } of keys) this.#counts.before(key, count, pending);
  }

  /** Event time has come to `ktime_ns`: what was held long enough is settled. */
  advance(ktime_ns: number): void {
    this.#counts.advance(ktime_ns);
    for (let oldest = this.#held.oldest; oldest; oldest = this.#held.oldest) {
      const full = this.#held.length > MOST_HELD;
      if (!full && ktime_ns - oldest.event.ktime_ns <= SETTLE_NS) return;
      this.#held.shift();
      if (!oldest.by && this.#before.sameFailure.mayBeSampled(oldest))
        this.#until_totals.push(oldest);
      else this.#commit(oldest);
      if (this.#until_totals.length > MOST_HELD) this.#commitHeld();
    }
  }

  /** At a tick. */
  place(): void {
    this.#findings.place();
  }

  /** No more events: settles everything. */
  finish(): void {
    this.advance(Number.POSITIVE_INFINITY);
    this.totalled();
  }

  /** The totals of all keys were told. */
  totalled(): void {
    this.#commitHeld();
    for (const [occurrence, count] of this.#assumed.takeBeyond())
      this.#tellApart(occurrence, count);
  }

  #commitHeld(): void {
    const held = this.#until_totals;
    this.#until_totals = [];
    for (const occurrence of held) this.#commit(occurrence);
  }

  get findings(): ReadonlyMap<string, OpenFinding> {
    return this.#findings.all;
  }

  /**
   * Findings that changed since they were taken last; one that was explained better since has count 0. What is
   * not due is left for later.
   */
  takeChanged(isDue?: (id: string) => boolean): Finding[] {
    return this.#findings.takeChanged(isDue);
  }

  /** Occurrences since the last call that found no room for a finding of their own. */
  takeMerged(): number {
    return this.#findings.takeMerged();
  }

  /** Occurrences that the kernel counted, and of which there was no record. */
  get untold(): number {
    return this.#counts.untold;
  }

  /** Keys that found no room, of which only records are counted. */
  get forgotten(): number {
    return this.#counts.forgotten;
  }

  get unexplained(): number {
    return this.#findings.unexplained;
  }

  get benign(): number {
    return this.#findings.benign;
  }

  /** Told of occurrences as they are counted; what a better explanation took away again is negative. */
  set onCount(listener: CountListener | null) {
    this.#findings.onCount = listener;
  }

  #explain(event: Event): [Cause, Match<Evidence>][] {
    const matches: [Cause, Match<Evidence>][] = [];
    for (const cause of this.#byKind.get(event.kind) ?? []) {
      const match = cause.match(event, this.#known);
      if (match)
        matches.push([cause, this.#withHistory(withMptcp(withToa(match, event), event), event)]);
    }
    if (matches.length === 1) return matches;
    const kept = matches.filter(
      ([cause]) => !matches.some(([other]) => other.supersedes?.includes(cause.id)),
    );
    if (kept.length > 0) return kept.sort(leadingFirst);
    const ordinary = benign(event, this.#known);
    const rest = unexplained(event, ordinary, this.#known);
    return rest ? [[ordinary ? BENIGN : UNEXPLAINED, rest]] : [];
  }

  /** With who sent what on its connection, where that was captured. */
  #withHistory(match: Match<Evidence>, event: Event): Match<Evidence> {
    const captured = this.#known.captured(match.flow, event);
    return captured
      ? { ...match, evidence: { ...match.evidence, history: captured.history } }
      : match;
  }

  /** What becomes of a packet that was answered or refused before is the same failure seen again. */
  #companion(event: Event, same: readonly Occurrence[], fresh: Occurrence[]): boolean {
    if (event.kind === 'reset_sent' && saysTheSame(same, fresh)) {
      this.#counts.went(event.key, []);
      return true;
    }
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
    this.#counts.went(event.key, []);
    return true;
  }

  /** The answer to this packet was not sampled, but those of its key before it were answered. */
  #companionBefore(event: Event, fresh: Occurrence[]): boolean {
    if (event.kind !== 'drop' || fresh.some(({ cause }) => cause !== UNEXPLAINED)) return false;
    return this.#counts.whereTo(event.key)?.length === 0;
  }

  #place(occurrence: Occurrence): void {
    const { event, cause, match } = occurrence;
    this.#assumed.found(cause.id, occurrence.count);
    if (match.apart) {
      this.#add(occurrence);
      return;
    }
    const ofFailure = this.#before.sameFailure.of(match.flow, event.ktime_ns);
    const ofOtherEnd = this.#ofOtherEnd(event);
    if (
      this.#isToldBy(
        this.#before.sameFailure.stronger(occurrence, ofFailure, ofOtherEnd),
        occurrence,
      )
    ) {
      this.#toldByOtherEnd(occurrence.by, occurrence);
      return;
    }
    for (const other of this.#before.sameFailure.weaker(occurrence, ofFailure, ofOtherEnd)) {
      this.#toldByOtherEnd(occurrence, other);
      this.#withdraw(other, occurrence);
    }
    this.#before.add(occurrence);
    if (this.#before.sameFailure.maySayLess(cause) || cause === UNEXPLAINED)
      this.#held.push(occurrence);
    else this.#commit(occurrence);
  }

  /** What is known of one end only weighs as much as the other end says. */
  #toldByOtherEnd(said: Occurrence, by: Occurrence): void {
    const severity = severityOf(by);
    if (!said.match.as_far_as_known || !by.match.had_more) return;
    if (weight(severity) <= weight(severityOf(said))) return;
    said.match = { ...said.match, severity };
    if (said.finding) this.#findings.raise(said.finding, severity);
  }

  /** What was found at the other end of a reset, to which this one has other addresses. */
  #ofOtherEnd(event: Event): Occurrence[] {
    const other = this.#known.otherEnd(event);
    const [flow] = other ? flowsOf(other) : [];
    if (!flow) return [];
    return this.#before.sameFailure
      .of(flow, event.ktime_ns)
      .filter((occurrence) => occurrence.event === other);
  }

  #withdraw(occurrence: Occurrence, by: Occurrence): void {
    if (occurrence.by) return;
    occurrence.by = by;
    if (occurrence.finding)
      this.#findings.count(occurrence.finding, countingOf(occurrence), -occurrence.count);
  }

  #commit(occurrence: Occurrence): void {
    // By now what says more may have turned out to be sampled.
    if (occurrence.by) return;
    if (this.#isToldBy(this.#before.sameFailure.stronger(occurrence, [], []), occurrence)) return;
    this.#tell(occurrence);
  }

  #isToldBy(stronger: Stronger | null, occurrence: Occurrence): occurrence is Told {
    if (!stronger) return false;
    occurrence.by = stronger.by;
    // Its own connection is known.
    this.#assumed.add(occurrence, occurrence.count - Number(stronger.exactly));
    return true;
  }

  /** So many were taken for the other end of what another says, and were more than that. */
  #tellApart(occurrence: Occurrence, count: number): void {
    // It stays what those that come after it are compared with: they may be the other end again.
    this.#tell({ ...occurrence, by: null, count });
  }

  #tell(occurrence: Occurrence): void {
    const { cameOf, evidence } = occurrence.match;
    if (cameOf)
      evidence[cameOf.evidence] =
        this.#before.connections.first(cameOf.flow, occurrence.event.ktime_ns)?.id ?? null;
    this.#weigh(occurrence);
    this.#add(occurrence);
  }

  #add(occurrence: Occurrence): void {
    const open = this.#findings.openFor(occurrence);
    occurrence.finding = open;
    this.#findings.add(open, occurrence);
    if (occurrence.match.as_far_as_known) this.#findings.raise(open, severityOf(occurrence));
  }

  /** What it came of weighs at least as much as it would by itself. */
  #weigh(occurrence: Occurrence): void {
    const severity = severityOf(occurrence);
    const why = this.#before.cameOf.because(occurrence);
    if (why) occurrence.because = { cause: why.common.cause.id, where: why.common.where };
    for (const one of why ? [why] : this.#before.cameOf.unexplained(occurrence)) {
      if (one.finding) this.#findings.raise(one.finding, severity);
    }
  }
}

/** What comes of another finds that. */
function leadingFirst([a]: [Cause, unknown], [b]: [Cause, unknown]): number {
  return Number(b.leadsTo?.includes(a.id) ?? false) - Number(a.leadsTo?.includes(b.id) ?? false);
}

/** Whether an answer says no more than the counters of the packet that it answers did. */
function saysTheSame(same: readonly Occurrence[], fresh: readonly Occurrence[]): boolean {
  return (
    same.every(({ event }) => event.kind === 'syn_received') &&
    fresh.every(({ cause }) => cause === UNEXPLAINED || same.some((one) => one.cause === cause))
  );
}
