// SPDX-License-Identifier: Apache-2.0

import type { Narrowed } from '../diagnose/narrowed.ts';
import { flowsOf } from '../diagnose/unexplained.ts';
import { HostKnowledge } from '../known/host-knowledge.ts';
import { NAMING, type Names } from '../known/knowledge.ts';
import { decodeEvent, mayBe, mayHaveHappened, UndecodableError } from '../wire/decode.ts';
import type { Event } from '../wire/event.ts';
import { FrameReader } from '../wire/frames.ts';
import type { Header } from '../wire/types.gen.ts';
import { connectionOf, type End } from './connection.ts';
import type { SteadyClock } from './steady.ts';
import { ownersOf, type Step, stepsOf } from './steps.ts';
import { WatchedBytes } from './watched-bytes.ts';

/** A step of a connection, as `host` (its number in the report) saw it. */
export interface TimedStep {
  host: number;
  /** On the report's clock. */
  time_ns: number;
  step: Step;
}

/** Of each connection this many of its first and of its last steps are kept. */
const KEPT_AT_EACH_END = 40;

/** What happened on the connections that the report draws. Bounded by their number. */
export class Watched {
  readonly owners = new Map<End, string>();
  /** Records that were looked at, of those that were read. */
  looked_at = 0;
  readonly #bytes: WatchedBytes;
  readonly #steps: ReadonlyMap<string, { first: TimedStep[]; last: TimedStep[]; skipped: number }>;

  constructor(connections: readonly string[]) {
    this.#bytes = new WatchedBytes(connections);
    this.#steps = new Map(
      connections.map((connection) => [connection, { first: [], last: [], skipped: 0 }]),
    );
  }

  /** Of what is not, nothing is taken. */
  mayTake(bytes: Uint8Array): boolean {
    return this.#bytes.mayBeIn(bytes);
  }

  take(event: Event, known: Names, host: number, time_ns: number): void {
    this.looked_at++;
    if (!flowsOf(event).some((flow) => this.#steps.has(connectionOf(flow)))) return;
    for (const [end, owner] of ownersOf(event)) this.owners.set(end, owner);
    for (const step of stepsOf(event, known)) {
      const kept = this.#steps.get(connectionOf(step.flow));
      if (!kept) continue;
      const timed = { host, time_ns, step };
      if (kept.first.length < KEPT_AT_EACH_END) kept.first.push(timed);
      else kept.last.push(timed);
      if (kept.last.length > KEPT_AT_EACH_END) {
        kept.last.shift();
        kept.skipped++;
      }
    }
  }

  /** In the order of time. */
  of(connections: Iterable<string>): { steps: TimedStep[]; skipped: number } {
    const kept = [...connections].flatMap((connection) => this.#steps.get(connection) ?? []);
    return {
      steps: kept
        .flatMap(({ first, last }) => [...first, ...last])
        .sort((a, b) => a.time_ns - b.time_ns || earlier(b) - earlier(a)),
      skipped: kept.reduce((sum, { skipped }) => sum + skipped, 0),
    };
  }
}

const earlier = ({ step }: TimedStep) => (step.kind === 'segment' && step.earlier ? 1 : 0);

/**
 * Reads a recording a second time, for the steps of a few connections. `clock` has gone through the host's
 * files before this one, and `onReport` puts its times on the report's clock.
 */
export class WatchReader {
  readonly #known: HostKnowledge;
  readonly #frames = new FrameReader();
  readonly #watched: Watched;
  readonly #host: number;
  readonly #offset_ns: number;
  readonly #clock: SteadyClock;
  readonly #onReport: (steady_ns: number) => number;
  readonly #change: ((event: Event) => Event) | null;
  readonly #narrowed: Narrowed | null;

  constructor(
    watched: Watched,
    shown: Header,
    host: number,
    clock: SteadyClock,
    onReport: (steady_ns: number) => number,
    change: ((event: Event) => Event) | null,
    narrowed: Narrowed | null = null,
  ) {
    this.#narrowed = narrowed;
    const header = clock.header(shown);
    this.#known = new HostKnowledge(header);
    this.#watched = watched;
    this.#host = host;
    this.#offset_ns = Number(header.clock_offset_ns);
    this.#clock = clock;
    this.#onReport = onReport;
    this.#change = change;
  }

  /** Throws FrameError as Pipeline.push does. */
  push(chunk: Uint8Array): void {
    for (const { bytes } of this.#frames.push(chunk)) {
      if (!this.#mayTell(bytes)) continue;
      const decoded = tryDecode(bytes);
      const event = decoded && this.#narrowed ? this.#narrowed.event(decoded) : decoded;
      if (event) this.#take(this.#clock.event(this.#change?.(event) ?? event));
    }
  }

  /** Addresses that are changed are not known by their bytes, and who narrows goes by what came before. */
  #mayTell(bytes: Uint8Array): boolean {
    if (this.#change || this.#narrowed) return true;
    const happened = mayHaveHappened(bytes) && this.#watched.mayTake(bytes);
    return happened || mayBe(NAMING, bytes);
  }

  #take(event: Event): void {
    if (NAMING.some((kind) => kind === event.kind)) this.#known.learn(event);
    const time_ns = this.#onReport(event.ktime_ns + this.#offset_ns);
    this.#watched.take(event, this.#known, this.#host, time_ns);
  }
}

/** What cannot be decoded was counted when it was read first. */
function tryDecode(bytes: Uint8Array): Event | null {
  try {
    return decodeEvent(bytes);
  } catch (error) {
    if (error instanceof UndecodableError) return null;
    throw error;
  }
}
