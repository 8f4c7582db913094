// SPDX-License-Identifier: Apache-2.0

import type { Cause, Evidence, Match } from '../causes/define.ts';
import type { HostKnowledge } from '../known/host-knowledge.ts';
import type { Event } from '../wire/event.ts';
import { sharedBy } from '../wire/key.ts';
import type { Flow } from '../wire/types.gen.ts';
import { describe } from './describe.ts';
import type { Because, Finding } from './finding.ts';
import type { Many } from './many.ts';
import type { Reset } from './resets.ts';
import type { Sides } from './sides.ts';
import { flowText } from './wording.ts';

export const MAX_FLOWS = 50;
const MAX_EVENTS = 20;

export interface FlowCount {
  flow: Flow;
  text: string;
  count: number;
  last_ns: number;
}

/** An event of a finding; described only when a screen shows it. */
export class EventLine {
  readonly seq: number;
  readonly time_ns: number;
  readonly #event: Event;
  readonly #known: HostKnowledge;

  constructor(seq: number, time_ns: number, event: Event, known: HostKnowledge) {
    this.seq = seq;
    this.time_ns = time_ns;
    this.#event = event;
    this.#known = known;
  }

  get text(): string {
    return describe(this.#event, this.#known);
  }
}

/** One occurrence on its way to a finding. */
export interface Occurrence {
  cause: Cause;
  match: Match<Evidence>;
  event: Event;
  /** That its event tells of. */
  reset: Reset;
  seq: number;
  count: number;
  /** What says more about the same failure and took it over. */
  by: Occurrence | null;
  /** What it comes of, where that was seen. */
  because: Because | null;
  /** Where it went; null while it is held. */
  finding: OpenFinding | null;
}

/** Of an occurrence only what counts, and where. */
export interface Counting {
  cause: Cause;
  /** Null: it is no longer known. */
  flow: Flow | null;
  ktime_ns: number;
}

/** An occurrence of which nothing else is left to say. */
export class Counted implements Counting {
  readonly cause: Cause;
  readonly flow: Flow | null;
  readonly ktime_ns: number;
  /** Where it went; null: another says more. */
  readonly finding: OpenFinding | null;

  constructor({ cause, flow, ktime_ns }: Counting, finding: OpenFinding | null) {
    this.cause = cause;
    this.flow = flow;
    this.ktime_ns = ktime_ns;
    this.finding = finding;
  }
}

const NO_BODY = {} as Event['body'];

/** The same where it still has to say for which others it stands (`sharedBy`). */
function withoutEvent(occurrence: Occurrence): Occurrence {
  const { match, event } = occurrence;
  return {
    ...occurrence,
    match: { ...match, evidence: {}, related: [], owner: null },
    event: { ...event, body: NO_BODY } as Event,
  };
}

/** False: of it nothing is left to say. */
export function isWhole({ event }: Occurrence): boolean {
  return event.body !== NO_BODY;
}

export function countingOf({ cause, match, event }: Occurrence): Counting {
  return { cause, flow: match.flow, ktime_ns: event.ktime_ns };
}

export function countOnly(one: Occurrence | Counted): Occurrence | Counted {
  // What is held still goes to its finding with all that was counted for it.
  if (one instanceof Counted || !(one.finding || one.by)) return one;
  if (sharedBy(one.event.key) !== null) return withoutEvent(one);
  return new Counted(countingOf(one), one.by ? null : one.finding);
}

/** A finding while it grows, with what a screen shows beside it. Everything in it is bounded. */
export interface OpenFinding {
  finding: Finding;
  flows: Map<string, FlowCount>;
  newest_flow_ns: number;
  events: EventLine[];
  /** Of the newest event: its own connection first, then others that have to do with it. */
  connections: Flow[];
  /** Of the same event; null while nothing was told of it. */
  sides: Sides | null;
  /** Its newest occurrence, while the finding does not say yet what was seen of that one. */
  untold: Occurrence | null;
  /** The one that it says so of. */
  told: Occurrence | null;
  newest_seq: number;
  newest_ktime_ns: number;
  /** Of a finding that tells of many subjects. */
  many: Many | null;
  /** The one that tells of its subject, among others, since there were too many. */
  into: OpenFinding | null;
}

/** The finding that tells of it by now. */
export function lastOf(open: OpenFinding): OpenFinding {
  let last = open;
  while (last.into) last = last.into;
  return last;
}

export function openFinding(finding: Finding): OpenFinding {
  return {
    finding,
    flows: new Map(),
    newest_flow_ns: 0,
    events: [],
    connections: [],
    sides: null,
    untold: null,
    told: null,
    newest_seq: 0,
    newest_ktime_ns: 0,
    many: null,
    into: null,
  };
}

/** The newest ones are kept, oldest first: what was held comes late. */
export function addFlow(open: OpenFinding, flow: Flow, count: number, last_ns: number): void {
  const { flows } = open;
  const text = flowText(flow);
  const known = flows.get(text);
  flows.delete(text);
  const late = !known && last_ns < open.newest_flow_ns;
  const newer = late ? [...flows.values()].filter((one) => one.last_ns > last_ns) : [];
  flows.set(text, { flow, text, count: (known?.count ?? 0) + count, last_ns });
  for (const one of newer) {
    flows.delete(one.text);
    flows.set(one.text, one);
  }
  open.newest_flow_ns = Math.max(open.newest_flow_ns, last_ns);
  if (flows.size <= MAX_FLOWS) return;
  const [oldest = text] = flows.keys();
  flows.delete(oldest);
}

/** In the order of the stream: what was held comes late. */
export function addEvent({ events }: OpenFinding, line: EventLine): void {
  let at = events.length;
  while (at > 0 && (events[at - 1] as EventLine).seq > line.seq) at--;
  if (at === events.length) events.push(line);
  else events.splice(at, 0, line);
  if (events.length > MAX_EVENTS) events.shift();
}
