// SPDX-License-Identifier: Apache-2.0

import type { HostKnowledge } from '../flow/knowledge.ts';
import type { Event } from '../wire/decode.ts';
import type { Flow } from '../wire/types.gen.ts';
import { describe } from './describe.ts';
import type { Finding, FlowText } from './finding.ts';
import { adviceOf, type Occurrence, summaryOf } from './occurrence.ts';
import { flowsOf } from './unexplained.ts';

const MAX_FLOWS = 50;
const MAX_EVENTS = 20;

export interface FlowCount {
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

/** A finding while it grows, with what a screen shows beside it. Everything in it is bounded. */
export interface OpenFinding {
  finding: Finding;
  flows: Map<string, FlowCount>;
  events: EventLine[];
  /** Of the newest event: its own connection first, then others that have to do with it. */
  connections: Flow[];
  /** Its newest occurrence, while the finding does not say yet what was seen of that one. */
  untold: Occurrence | null;
}

/** The finding as it stands. What it says is made only when it is asked for: most is never shown. */
export function tell(open: OpenFinding): Finding {
  const { finding, untold, events } = open;
  if (!untold) return finding;
  const { match, event } = untold;
  open.untold = null;
  open.connections = [match.flow, ...(match.related ?? []), ...flowsOf(event)];
  finding.evidence = match.evidence;
  finding.flow = flowOf(untold);
  finding.summary = summaryOf(untold);
  finding.advice = adviceOf(untold);
  finding.events = events.map(({ seq }) => seq);
  return finding;
}

export function flowOf({ match, event }: Occurrence): FlowText {
  const { saddr, sport, daddr, dport } = match.flow;
  const family = saddr.includes(':') ? 6 : 4;
  return { family, saddr, sport, daddr, dport, netns: event.netns };
}

export function addFlow(open: OpenFinding, text: string, count: number, last_ns: number): void {
  const known = open.flows.get(text);
  open.flows.delete(text);
  open.flows.set(text, { text, count: (known?.count ?? 0) + count, last_ns });
  const [oldest] = open.flows.keys();
  if (open.flows.size > MAX_FLOWS && oldest !== undefined) open.flows.delete(oldest);
}

export function addEvent(open: OpenFinding, line: EventLine): void {
  open.events.push(line);
  if (open.events.length > MAX_EVENTS) open.events.shift();
}
