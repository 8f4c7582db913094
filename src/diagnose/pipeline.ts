// SPDX-License-Identifier: Apache-2.0

import type { Cause } from '../causes/define.ts';
import { WallClock } from '../known/clock.ts';
import { HostKnowledge } from '../known/host-knowledge.ts';
import { decodeEvent, eventOf, happened, UndecodableError } from '../wire/decode.ts';
import type { Event } from '../wire/event.ts';
import { FrameReader } from '../wire/frames.ts';
import { EVENT_KINDS, type EventKind } from '../wire/kinds.gen.ts';
import { Losses } from '../wire/loss.ts';
import { Reorder } from '../wire/reorder.ts';
import type { Before, Footer, Header, Totals } from '../wire/types.gen.ts';
import { Encoded, Records, Written, writtenIn } from '../wire/written.ts';
import { Engine } from './engine.ts';
import type { Narrowed } from './narrowed.ts';
import type { Occurrence } from './open-finding.ts';

/** An event in the order in which events happened, and what it is an occurrence of (Engine.accept). */
export type EventListener = (
  event: Event,
  seq: number,
  time_ns: number,
  occurrences: readonly Occurrence[],
) => void;

/** All buffers of a kernel hold no more between two ticks: what says so has none. */
const MOST_HELD = 200_000;
const MOST_HELD_BYTES = 48 << 20;
/** What each takes beside. */
const OBJECT_BYTES = 150;
/** More of them than these are held as bytes. */
const MOST_DECODED = 2000;

/** An event as it waits for its turn. */
type Held = Event | Written | Encoded;

const KIND_NAMES = new Map<number, EventKind>(
  Object.entries(EVENT_KINDS).map(([name, number]) => [number, name as EventKind]),
);

/**
 * From bytes to findings: decode, order, explain. Live and replayed bytes go the same way; time is
 * that of the events and ticks, so the same bytes give the same findings.
 */
export class Pipeline {
  readonly known: HostKnowledge;
  readonly clock: WallClock;
  readonly engine: Engine;
  readonly losses = new Losses();
  /** Events of the kernel, without those that tcpwhy adds. */
  events = 0;
  /** Wall clock in nanoseconds of the first and the newest event or tick. */
  first_ns = 0;
  now_ns = 0;
  /** Exact occurrences by kind, records or not. */
  readonly counted: { [Kind in EventKind]?: number } = {};
  /** Sees the events that are explained, and none that is only counted. */
  onExplained: ((event: Event) => void) | null = null;
  /** Null until the recording has ended well. */
  footer: Footer | null = null;
  readonly #frames = new FrameReader();
  readonly #reorder = new Reorder<Held>();
  /** Of what is held as bytes. */
  #held_bytes = 0;
  readonly #listener: EventListener | null;
  readonly #change: ((event: Event) => Event) | null;
  readonly #narrowed: Narrowed | null;
  /** By number of the kind: what belongs to the files before this one. */
  readonly #counted_before = new Map<number, number>();
  readonly #start_ktime_ns: number;
  #newest_ktime_ns = 0;
  #totals: Totals | null = null;

  /**
   * `change` is done to each event before anything else sees it, but for `narrowed`, which lets through what
   * is asked for.
   */
  constructor(
    header: Header,
    causes: readonly Cause[],
    listener: EventListener | null = null,
    change: ((event: Event) => Event) | null = null,
    narrowed: Narrowed | null = null,
  ) {
    this.clock = new WallClock(header);
    this.known = new HostKnowledge(header);
    this.engine = new Engine(causes, this.known, this.clock);
    this.#listener = listener;
    this.#change = change;
    this.#narrowed = narrowed;
    this.first_ns = this.clock.at(header.start_ktime_ns);
    this.now_ns = this.first_ns;
    this.#start_ktime_ns = header.start_ktime_ns;
  }

  /**
   * Bytes of the stream, cut anywhere; they are not looked at again. Throws FrameError where they are no
   * stream of messages.
   */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    if (this.#listener && !this.#change && !this.#narrowed) {
      for (const frame of this.#frames.push(chunk)) this.#takeDecoded(frame.bytes);
      this.#holdNoMore();
      return;
    }
    const from = this.#frames.rest.bytes > 0 ? 0 : this.#takeRecords(chunk);
    this.#frames.skip(from);
    for (const frame of this.#frames.push(chunk.subarray(from))) this.#decode(frame.bytes);
    this.#holdNoMore();
    this.#reorder.keep((one) => (isWritten(one) ? one.own : one));
  }

  /** From the first event to the newest, in nanoseconds: however the wall clock was set meanwhile. */
  get lasted_ns(): number {
    return Math.max(0, this.#newest_ktime_ns - this.#start_ktime_ns);
  }

  /** CLOCK_MONOTONIC of the newest event or tick. */
  get newest_ktime_ns(): number {
    return this.#newest_ktime_ns;
  }

  /** Bytes of a message that is not whole. */
  get rest(): { bytes: number; at: number } {
    return this.#frames.rest;
  }

  /** No more bytes: explains what is still held. */
  finish(): void {
    this.#release(Number.POSITIVE_INFINITY);
    this.#applyTotals();
    this.#countUndecided();
    this.engine.finish();
    this.engine.place();
    this.losses.add('findings_merged', this.engine.takeMerged());
    this.losses.add('keys_untold', this.engine.untold);
    this.losses.add('keys_forgotten', this.engine.forgotten);
  }

  /** Those at the beginning. Returns how many bytes they are. */
  #takeRecords(bytes: Uint8Array): number {
    const records = new Records(bytes);
    while (records.next()) this.#hold(new Written(records.w, records.at, records.layout, false));
    return records.bytes;
  }

  #decode(bytes: Uint8Array): void {
    const record = writtenIn(bytes);
    if (record) this.#hold(record);
    else this.#takeDecoded(bytes);
  }

  #hold(one: Held): void {
    this.#held_bytes += bytesHeld(one);
    this.#reorder.push(one);
  }

  #takeDecoded(bytes: Uint8Array): void {
    const read = this.#read(() => decodeEvent(bytes));
    const event = read && this.#asked(read);
    if (!event) return;
    if (event === read && this.#reorder.length >= MOST_DECODED && happened(event.kind))
      this.#hold(new Encoded(bytes, event.ktime_ns));
    else this.#take(this.#changed(event));
  }

  #read(decode: () => Event | null): Event | null {
    let event: Event | null = null;
    try {
      event = decode();
    } catch (error) {
      if (!(error instanceof UndecodableError)) throw error;
    }
    if (!event) this.losses.add('records_undecodable', 1);
    return event;
  }

  #asked(event: Event): Event | null {
    return this.#narrowed ? this.#narrowed.event(event) : event;
  }

  #changed(event: Event): Event {
    return this.#change ? this.#change(event) : event;
  }

  #take(event: Event): void {
    switch (event.kind) {
      case 'tick':
        for (const { name, count } of event.body.lost) this.losses.add(name, count);
        if (event.body.before) this.#before(event.body.before);
        this.#release(event.ktime_ns);
        this.#applyTotals();
        this.#advance(event.ktime_ns);
        this.engine.place();
        this.losses.add('findings_merged', this.engine.takeMerged());
        return;
      case 'totals':
        // They count records too that a tick has yet to put in order.
        this.#totals = event.body;
        return;
      case 'fact':
        this.known.learn(event);
        this.clock.learn(event);
        return;
      case 'footer':
        this.footer = event.body;
        return;
      default:
        this.#hold(event);
    }
  }

  #before(before: Before): void {
    this.engine.before(before);
    this.#narrowed?.before(before);
    if (this.#narrowed) return;
    for (const { kind, count } of before.kinds)
      if (KIND_NAMES.has(kind))
        this.#counted_before.set(kind, (this.#counted_before.get(kind) ?? 0) + count);
  }

  #applyTotals(): void {
    if (!this.#totals) return;
    const { keys, kinds } = this.#narrowed?.totals(this.#totals) ?? this.#totals;
    this.#totals = null;
    this.#countUndecided();
    for (const { key, count } of keys) this.engine.total(key, count);
    this.engine.totalled();
    for (const kind of Object.keys(this.counted) as EventKind[]) delete this.counted[kind];
    for (const { kind, count } of kinds) {
      const name = KIND_NAMES.get(kind);
      if (name) this.counted[name] = (this.counted[name] ?? 0) + count;
    }
    for (const [kind, count] of this.#counted_before) {
      const name = KIND_NAMES.get(kind);
      if (name) this.counted[name] = Math.max(0, (this.counted[name] ?? 0) - count);
    }
  }

  #countUndecided(): void {
    this.losses.add('filter_undecided', this.#narrowed?.takeUndecided() ?? 0);
  }

  #holdNoMore(): void {
    while (this.#reorder.length > MOST_HELD || this.#held_bytes > MOST_HELD_BYTES)
      this.#acceptAll(this.#reorder.older());
  }

  #release(ktime_ns: number): void {
    this.#acceptAll(this.#reorder.release(ktime_ns));
  }

  /** Takes them out of `released`: of many none is held longer than it must. */
  #acceptAll(released: (Held | null)[]): void {
    this.#held_bytes = this.#reorder.sum(bytesHeld);
    for (let i = 0; i < released.length; i++) {
      const one = released[i] as Held;
      released[i] = null;
      if (isWritten(one)) this.#explain(one);
      else if (isEncoded(one)) this.#acceptEncoded(one);
      else this.#accept(one);
    }
  }

  #acceptEncoded({ bytes }: Encoded): void {
    const event = this.#read(() => decodeEvent(bytes));
    if (event) this.#accept(this.#changed(event));
  }

  #explain(record: Written): void {
    this.#advance(record.ktime_ns);
    // Who listens sees every event, and who changes one may change what it means.
    const counts = !this.#listener && !this.#change && !this.#narrowed;
    if (counts && record.tokenless && this.engine.count(record.key)) this.events++;
    else {
      const read = this.#read(() => eventOf(record));
      const event = read && this.#asked(read);
      if (event) this.#accept(this.#changed(event));
    }
  }

  #accept(event: Event): void {
    const seq = ++this.events;
    this.#advance(event.ktime_ns);
    const occurrences = this.engine.accept(event, seq);
    this.onExplained?.(event);
    this.#listener?.(event, seq, this.clock.at(event.ktime_ns), occurrences);
  }

  #advance(ktime_ns: number): void {
    if (ktime_ns <= this.#newest_ktime_ns) return;
    this.#newest_ktime_ns = ktime_ns;
    this.now_ns = this.clock.at(ktime_ns);
    this.engine.advance(ktime_ns);
  }
}

/** Asked of every event: `instanceof` takes ten times as long. */
function isWritten(one: Held): one is Written {
  return 'layout' in one;
}

function isEncoded(one: Event | Encoded): one is Encoded {
  return !('kind' in one);
}

function bytesHeld(one: Held): number {
  if (isWritten(one)) return 4 * one.layout.words + OBJECT_BYTES;
  return isEncoded(one) ? one.length + OBJECT_BYTES : 0;
}
