// SPDX-License-Identifier: Apache-2.0

import { type Followed, Trails } from '../flow/trails.ts';
import { servedAtSource } from '../tcp/service.ts';
import type { Event } from '../wire/event.ts';
import { Ring } from '../wire/ring.ts';
import type { Words } from '../wire/words.ts';
import { AT } from '../wire/written.gen.ts';
import type { Written } from '../wire/written.ts';
import type { KeyCount } from './counts.ts';
import { findingId } from './occurrence.ts';
import type { Occurrence } from './open-finding.ts';
import { type Kind, kindOf, seenOf } from './repeatable.ts';

/** So often in a row an explanation has to have been the same. */
const ALIKE = 2;
/** So long it holds before it is looked for anew. */
const HOLDS_NS = 100e6;
const MAX_STEPS = 1024;

/** States of a connection: nothing is known of it, or what no step leads to. */
const NOTHING = 0;
const OTHER = 1;

const KEY = AT.Event.key;
const OCCURRENCES = AT.Event.occurrences;

/** What a record of one key means on a connection that is in one state. */
export interface Step {
  from: number;
  to: number;
  kind: Kind;
  /** Of a record that was explained: its key, its addresses, what the causes see of it. */
  key_low: number;
  key_high: number;
  from_low: number;
  from_high: number;
  seen: number;
  sport: number;
  /** Whether its service is at the other end than sport. */
  dialled: boolean;
  thinned: boolean;
  counted: KeyCount;
  explained_ns: number;
  /** When it was taken last without being explained; 0: not since somebody asked. */
  followed_ns: number;
  version: number;
  /** An explanation that is held, until it is known where it went. */
  held: Explained | null;
  /** What `alike` explanations in a row came to. */
  agreed: Explained | null;
  alike: number;
  /** Whether it stands for the connection then. */
  places: boolean;
  next: Step | null;
}

/** What a record came to. */
export interface Explained {
  occurrences: readonly Occurrence[];
  /** Which of them something better took over at once. */
  taken: readonly boolean[];
  /** Some were held, in case that something better would take them over. */
  held: boolean;
  /** Up to when what took them over does so, where that was of another connection of the same service. */
  until_ns: number;
}

/**
 * In a storm nearly every record says what others before it said. What it means follows from its key
 * and from what its connection went through; where that was explained before, and came to the same
 * each time, a record is counted where those were, and decoded only when somebody asks for it.
 */
export class Repeats {
  readonly #trails: Trails<Explained>;
  readonly #ring = new Ring();
  /** Whether any record may be followed. */
  #follows = false;
  /** Of the connection that `find` looked for. */
  #place = -1;
  #steps = 0;
  readonly #followed: Step[] = [];
  readonly #byKey = new Map<number, Step>();
  /** Of the last record of each kind: in a storm mostly that of the next one too. */
  #answered: Step | null = null;
  #received: Step | null = null;
  /** Numbers of states, by the findings that stand for a connection. */
  readonly #states = new Map<string, number>();
  readonly #span_ns: number;

  /** A connection's story is over when nothing was found on it for `span_ns`. */
  constructor(span_ns: number) {
    this.#span_ns = span_ns;
    this.#trails = new Trails(this.#ring);
  }

  /** The same bytes, where they stay for a while if that may be needed: records elsewhere are not followed. */
  hold(bytes: Uint8Array): Uint8Array {
    return (this.#follows && this.#ring.take(bytes)) || bytes;
  }

  /** Where they are then. */
  get held(): Words {
    return this.#ring.words;
  }

  /** The step that the record takes, if that was explained well enough; else null. */
  find(record: Written, version: number): Step | null {
    const { w, at, layout, ktime_ns } = record;
    const kind = kindOf(layout);
    if (!kind || w !== this.#ring.words) return null;
    const place = this.#trails.find(w, at + kind.flow);
    this.#place = place;
    const state = place < 0 ? NOTHING : this.#trails.state(place, ktime_ns, this.#span_ns);
    const step = this.#find(record, kind, state);
    if (!step || step.alike < ALIKE || step.version !== version) return null;
    if (ktime_ns > (step.agreed?.until_ns ?? 0)) return null;
    return ktime_ns - step.explained_ns < HOLDS_NS ? step : null;
  }

  /** The record took the step that `find` just returned, as so many occurrences. Returns the number of the record. */
  follow(step: Step, record: Written, seq: number, count: number): number {
    const trails = this.#trails;
    const place = this.#place < 0 ? trails.add() : this.#place;
    if (step.followed_ns === 0) this.#followed.push(step);
    step.followed_ns = record.ktime_ns;
    if (step.places) trails.set(place, step.to, record.ktime_ns);
    return trails.follow(place, record, seq, count, step.agreed as Explained);
  }

  /** Steps that were taken since this was asked last, and when. */
  takeFollowed(): { explained: Explained; ktime_ns: number }[] {
    if (this.#followed.length === 0) return NO_STEPS;
    return this.#followed.splice(0).flatMap((step) => {
      const ktime_ns = step.followed_ns;
      step.followed_ns = 0;
      return step.agreed ? [{ explained: step.agreed, ktime_ns }] : [];
    });
  }

  /** The record of that number; null where it is forgotten. */
  record(number: number): Followed<Explained> | null {
    return this.#trails.record(number);
  }

  /** Records of the same connections that were only counted: from now on they are explained. */
  untold({ w, at, layout }: Written): Followed<Explained>[] {
    let untold: Followed<Explained>[] = NO_RECORDS;
    for (const flow of layout.flows) {
      const place = this.#trails.find(w, at + flow);
      if (place >= 0 && this.#trails.hasUntold(place))
        untold = [...untold, ...this.#trails.tell(place)];
    }
    return untold;
  }

  /**
   * What was made of a record that was explained. `standing` is what stands for its connection then; null
   * where the explanation holds for this record alone.
   */
  learn(
    record: Written,
    event: Event,
    occurrences: readonly Occurrence[],
    standing: readonly Occurrence[] | null,
    counted: KeyCount,
    version: number,
  ): void {
    const { w, at, layout, ktime_ns } = record;
    const kind = kindOf(layout);
    if (!kind?.flowOf(event) || !standing || !record.sound) {
      for (const flow of layout.flows) this.#enter(w, at + flow, OTHER, ktime_ns);
      return;
    }
    const place = this.#trails.find(w, at + kind.flow);
    const from = place < 0 ? NOTHING : this.#trails.state(place, ktime_ns, this.#span_ns);
    const taken = occurrences.map(({ by }) => by !== null);
    const to = from === OTHER ? OTHER : this.#stateOf(standing);
    const step =
      from === OTHER
        ? null
        : (this.#find(record, kind, from) ?? this.#begin(record, event, kind, from, counted));
    if (taken.includes(false)) this.#enter(w, at + kind.flow, to, ktime_ns);
    if (!step) return;
    step.to = to;
    step.explained_ns = ktime_ns;
    step.version = version;
    const until_ns = Math.min(
      ...occurrences.map(({ by }) =>
        by && !standing.includes(by) ? by.event.ktime_ns + this.#span_ns : Number.POSITIVE_INFINITY,
      ),
    );
    agree(step, { occurrences, taken, held: isHeld(occurrences), until_ns });
    this.#follows ||= step.alike >= ALIKE;
  }

  #enter(w: Words, flow: number, state: number, ktime_ns: number): void {
    const found = this.#trails.find(w, flow);
    this.#trails.set(found < 0 ? this.#trails.add() : found, state, ktime_ns);
  }

  #stateOf(standing: readonly Occurrence[]): number {
    const name = [...new Set(standing.map(findingId))].sort().join('\n');
    let state = this.#states.get(name);
    if (state === undefined) {
      state = this.#states.size < MAX_STEPS ? OTHER + 1 + this.#states.size : OTHER;
      this.#states.set(name, state);
    }
    return state;
  }

  /** The step of a record like this one; its connection was looked for just now. */
  #find({ w, at }: Written, kind: Kind, from: number): Step | null {
    const key_low = w[at + KEY] as number;
    const last = kind.pid < 0 ? this.#answered : this.#received;
    if (last?.key_low === key_low && last.from === from && this.#isLike(last, w, at)) return last;
    let step = this.#byKey.get(key_low) ?? null;
    while (step && !(step.from === from && step.kind === kind && this.#isLike(step, w, at)))
      step = step.next;
    if (kind.pid < 0) this.#answered = step;
    else this.#received = step;
    return step;
  }

  #isLike(step: Step, w: Words, at: number): boolean {
    const { kind } = step;
    const sport = w[at + kind.flow + AT.Flow.sport] as number;
    const dialled = !servedAtSourceIn(w, at + kind.flow);
    return (
      step.key_high === (w[at + KEY + 1] as number) &&
      step.from_low === this.#trails.from_low &&
      step.from_high === this.#trails.from_high &&
      step.seen === seenOf(kind, w, at) &&
      step.thinned === (w[at + OCCURRENCES] as number) > 1 &&
      // From one connection to the next this port changes: the key has the other one.
      step.dialled === dialled &&
      (dialled || step.sport === sport)
    );
  }

  #begin({ w, at }: Written, event: Event, kind: Kind, from: number, counted: KeyCount) {
    if (++this.#steps > MAX_STEPS) {
      this.#steps = 1;
      this.#byKey.clear();
      this.#answered = null;
      this.#received = null;
    }
    const low = w[at + KEY] as number;
    const step: Step = {
      from,
      to: OTHER,
      kind,
      key_low: low,
      key_high: w[at + KEY + 1] as number,
      from_low: this.#trails.from_low,
      from_high: this.#trails.from_high,
      seen: seenOf(kind, w, at),
      sport: w[at + kind.flow + AT.Flow.sport] as number,
      dialled: !servedAtSourceIn(w, at + kind.flow),
      thinned: event.occurrences > 1,
      counted,
      explained_ns: 0,
      followed_ns: 0,
      version: 0,
      held: null,
      agreed: null,
      alike: 0,
      places: false,
      next: this.#byKey.get(low) ?? null,
    };
    this.#byKey.set(low, step);
    return step;
  }
}

function servedAtSourceIn(w: Words, flow: number): boolean {
  return servedAtSource({
    service: w[flow + AT.Flow.service] as number,
    sport: w[flow + AT.Flow.sport] as number,
    dport: w[flow + AT.Flow.dport] as number,
  });
}

function agree(step: Step, now: Explained): void {
  if (step.held && !isHeld(step.held.occurrences)) {
    judge(step, step.held);
    step.held = null;
  }
  if (!now.held) judge(step, now);
  else step.held ??= now;
}

function judge(step: Step, explained: Explained): void {
  const { occurrences, taken } = explained;
  const before = step.agreed?.occurrences;
  const kept = occurrences.every(({ by }, i) => (by !== null) === taken[i]);
  const same =
    before?.length === occurrences.length &&
    occurrences.every((one, i) => goesWhere(one, before[i] as Occurrence));
  step.alike = !kept ? 0 : same ? step.alike + 1 : 1;
  step.agreed = kept ? explained : null;
  step.places = taken.includes(false);
}

const isHeld = (occurrences: readonly Occurrence[]) =>
  occurrences.some(({ by, finding }) => !by && !finding);

function goesWhere(one: Occurrence, other: Occurrence): boolean {
  if (one.cause !== other.cause || !one.by !== !other.by) return false;
  return one.by ? one.by.cause === other.by?.cause : one.finding === other.finding;
}

const NO_RECORDS: Followed<Explained>[] = [];
const NO_STEPS: never[] = [];
