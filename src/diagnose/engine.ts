// SPDX-License-Identifier: Apache-2.0

import type { Cause, Evidence, Match } from '../causes/define.ts';
import type { WallClock } from '../flow/clock.ts';
import type { HostKnowledge } from '../flow/knowledge.ts';
import { Queue } from '../flow/queue.ts';
import type { Followed } from '../flow/trails.ts';
import { endpoint } from '../tcp/endpoint.ts';
import { eventOf } from '../wire/decode.ts';
import type { Event } from '../wire/event.ts';
import type { Before, Toa } from '../wire/types.gen.ts';
import type { Words } from '../wire/words.ts';
import type { Written } from '../wire/written.ts';
import { benign } from './benign.ts';
import { Counts } from './counts.ts';
import type { Finding } from './finding.ts';
import { type CountListener, Findings, type Repeated } from './findings.ts';
import { Memory, SAME_FAILURE_NS } from './memory.ts';
import type { Occurrence, OpenFinding } from './open-finding.ts';
import { Reasons } from './reasons.ts';
import { learnFailed, mayRepeat, repeatableFlow, timesOf } from './repeatable.ts';
import { type Explained, Repeats } from './repeats.ts';
import { BENIGN, packetOf, UNEXPLAINED, unexplained } from './unexplained.ts';

/** Longer than the two ends of one failure on one host are apart, shorter than anyone waits for. */
const SETTLE_NS = 300e6;
/** After which nothing more becomes of an event. */
export const FINAL_NS = SAME_FAILURE_NS + SETTLE_NS;

/**
 * Runs the causes on each event and keeps the findings. Pure in time and order: the same events give
 * the same findings. What a cause that says more may still take over is held for SETTLE_NS.
 */
export class Engine {
  readonly #findings: Findings;
  readonly #byKind = new Map<string, Cause[]>();
  readonly #known: HostKnowledge;
  readonly #counts = new Counts();
  readonly #targets = new Map<string, Occurrence[]>();
  readonly #held = new Queue<Occurrence>();
  readonly #memory: Memory;
  readonly #reasons: Reasons;
  readonly #repeats = new Repeats(SAME_FAILURE_NS);
  #withdrawn = 0;

  constructor(
    causes: readonly Cause[],
    known: HostKnowledge,
    clock: WallClock,
    max_findings?: number,
  ) {
    this.#known = known;
    const repeated: Repeated = {
      record: (number) => this.#repeats.record(number),
      explain: (followed) => this.#explained(followed),
    };
    this.#findings = new Findings(known, clock, repeated, max_findings);
    const sampled = (key: string) => this.#counts.sampled(key);
    this.#reasons = new Reasons(causes, sampled);
    this.#memory = new Memory(causes, sampled);
    known.failed_connects.decode = (number) => {
      const followed = this.#repeats.record(number);
      if (!followed) return null;
      this.#remember(followed.record);
      return eventOf(followed.record);
    };
    for (const cause of causes) {
      for (const kind of cause.on)
        this.#byKind.set(kind, [...(this.#byKind.get(kind) ?? []), cause]);
    }
  }

  /** The same bytes of records, where they stay for a while if `repeat` may need them: in `held`. */
  hold(bytes: Uint8Array): Uint8Array {
    return this.#repeats.hold(bytes);
  }

  get held(): Words {
    return this.#repeats.held;
  }

  /**
   * Counts the record of an event, in its order, as what one before it was explained as; false where it
   * has to be decoded and accepted.
   */
  repeat(record: Written, seq: number): boolean {
    const { version, failed_connects } = this.#known;
    const step = this.#findings.onCount ? null : this.#repeats.find(record, version);
    // Where records are missing, what took over something held may have been of another connection.
    if (!step?.agreed || (step.agreed.held && this.#counts.thinned)) return false;
    if (!mayRepeat(step.kind, record.ktime_ns, failed_connects)) return false;
    const { occurrences, taken } = step.agreed;
    const times = timesOf(record);
    const count = this.#counts.add(step.counted, times);
    const number = this.#repeats.follow(step, record, seq, count);
    learnFailed(step.kind, record, number, times, failed_connects);
    for (let i = 0; i < occurrences.length; i++) {
      const open = occurrences[i]?.finding;
      if (!open || taken[i]) continue;
      this.#findings.repeat(open, number, count);
    }
    return true;
  }

  /**
   * An event in its order; `seq` is its number in the stream, `record` what it was decoded from. Returns
   * what it is an occurrence of, which is final when event time has gone on by FINAL_NS.
   */
  accept(event: Event, seq: number, record: Written | null = null): readonly Occurrence[] {
    if (!record) return this.#accept(event, seq);
    this.#remember(record);
    const withdrawn = this.#withdrawn;
    const occurrences = this.#accept(event, seq);
    const standing = withdrawn === this.#withdrawn ? this.#standing(event, occurrences) : null;
    const counted = this.#counts.of(event.key);
    this.#repeats.learn(record, event, occurrences, standing, counted, this.#known.version);
    return occurrences;
  }

  #accept(event: Event, seq: number): readonly Occurrence[] {
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
    const same = this.#memory.ofPacket(event);
    if (same && this.#companion(event, same, occurrences)) return same;
    if (!same && this.#companionBefore(event, occurrences)) return [];
    this.#memory.notePacket(event, occurrences);
    if (event.key !== '0') this.#targets.set(event.key, occurrences);
    for (const occurrence of occurrences) this.#place(occurrence);
    return occurrences;
  }

  /** Exact totals: occurrences that never became a record go where the last record of their key went. */
  total(key: string, exact: number): void {
    const targets = this.#targets.get(key);
    if (!targets) {
      // They go with its first record.
      this.#counts.of(key).exact = exact;
      return;
    }
    const count = this.#counts.total(key, exact);
    for (const target of targets) {
      if (target.finding && !target.by) this.#findings.count(target.finding, target, count);
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
    return this.#findings.all;
  }

  /** Findings that changed since the last call; one that was explained better since has count 0. */
  takeChanged(): Finding[] {
    return this.#findings.takeChanged();
  }

  /** Occurrences since the last call that found no room for a finding of their own. */
  takeMerged(): number {
    return this.#findings.takeMerged();
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

  /** What stands for the event's connection, where another event of its key may be taken for the same. */
  #standing(event: Event, occurrences: readonly Occurrence[]): readonly Occurrence[] | null {
    const flow = event.key === '0' ? null : repeatableFlow(event);
    if (!flow || occurrences.length === 0) return null;
    const alone = occurrences.some(
      ({ cause, match }) =>
        match.flow !== flow ||
        match.related ||
        match.broughtOnBy ||
        cause.leadsTo ||
        cause === UNEXPLAINED ||
        cause === BENIGN ||
        this.#reasons.mayExplain(cause),
    );
    return alone ? null : this.#memory.others(flow, event.ktime_ns);
  }

  /** What a record that was only counted would have become. */
  #explained({ record, seq, count, as }: Followed<Explained>): Occurrence[] {
    const event = eventOf(record);
    if (!event) return [];
    return this.#explain(event).flatMap(([cause, match]): Occurrence[] => {
      const at = as.occurrences.findIndex((like) => like.cause === cause);
      const like = as.occurrences[at];
      if (!like) return [];
      const { by, finding } = as.taken[at] ? like : { by: null, finding: like.finding };
      return [{ cause, match, event, seq, count, by, because: null, finding }];
    });
  }

  /** Of connections that the record names: what was only counted is remembered as if it had been explained. */
  #remember(record: Written): void {
    for (const followed of this.#repeats.untold(record)) {
      const occurrences = this.#explained(followed);
      for (const occurrence of occurrences) if (!occurrence.by) this.#memory.note(occurrence);
      const [first] = occurrences;
      if (first) this.#memory.notePacket(first.event, occurrences);
    }
    this.#rememberServices();
  }

  #rememberServices(): void {
    for (const { explained, ktime_ns } of this.#repeats.takeFollowed()) {
      explained.occurrences.forEach((occurrence, i) => {
        if (!explained.taken[i]) this.#memory.noteService(occurrence, ktime_ns);
      });
    }
  }

  #explain(event: Event): [Cause, Match<Evidence>][] {
    const matches: [Cause, Match<Evidence>][] = [];
    for (const cause of this.#byKind.get(event.kind) ?? []) {
      const match = cause.match(event, this.#known);
      if (match) matches.push([cause, withMptcp(withToa(match, event), event)]);
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
  #companion(event: Event, same: readonly Occurrence[], fresh: Occurrence[]): boolean {
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
    const others = this.#memory.others(match.flow, event.ktime_ns);
    occurrence.by = this.#memory.stronger(occurrence, others);
    if (occurrence.by) return;
    occurrence.because = this.#reasons.of(cause, match, event);
    this.#reasons.note(cause, match, event);
    for (const other of others) {
      if (cause.supersedes?.includes(other.cause.id)) this.#withdraw(other, occurrence);
    }
    this.#memory.note(occurrence);
    if (this.#memory.maySayLess(cause) || cause === UNEXPLAINED) this.#held.push(occurrence);
    else this.#commit(occurrence);
  }

  #withdraw(occurrence: Occurrence, by: Occurrence): void {
    if (occurrence.by) return;
    occurrence.by = by;
    this.#withdrawn++;
    if (occurrence.finding) this.#findings.count(occurrence.finding, occurrence, -occurrence.count);
  }

  #commit(occurrence: Occurrence): void {
    this.#rememberServices();
    // By now what says more may have turned out to be sampled.
    occurrence.by ??= this.#memory.stronger(occurrence, []);
    if (occurrence.by) return;
    const { match, event } = occurrence;
    const open = this.#findings.openFor(occurrence);
    occurrence.finding = open;
    if (match.broughtOnBy) {
      const { flow, evidence } = match.broughtOnBy;
      match.evidence[evidence] = this.#memory.why(flow, event.ktime_ns)?.cause.id ?? null;
    }
    this.#findings.add(open, occurrence);
  }
}

/** With whom the sender says it connects for, and whom that one dialled: balancers do. */
function withToa(match: Match<Evidence>, event: Event): Match<Evidence> {
  const { toa, dialled } = packetOf(event) ?? {};
  if (!toa) return match;
  const evidence = { ...match.evidence, connects_for: toaText(toa) };
  return { ...match, evidence: dialled ? { ...evidence, vip: toaText(dialled) } : evidence };
}

function toaText({ addr, port, kind }: Toa): string {
  return `${port === 0 ? addr : endpoint(addr, port)} (TCP option ${kind})`;
}

/** Whether the socket that it is about is of MPTCP, where it is: what a process reads and writes is not its own then. */
function withMptcp(match: Match<Evidence>, { body }: Event): Match<Evidence> {
  const sock = 'sock' in body ? body.sock : 'listener' in body ? body.listener : null;
  if (!sock?.mptcp) return match;
  return { ...match, evidence: { ...match.evidence, protocol: 'MPTCP' } };
}
