// SPDX-License-Identifier: Apache-2.0

import { captureReader } from '../native/capture.ts';
import { FORMAT } from '../record/read.ts';
import { VERSION } from '../version.ts';
import { encodeBareTick, encodeEvent } from '../wire/decode.ts';
import type { Header } from '../wire/types.gen.ts';
import { Follower } from './follower.ts';
import type { Message } from './messages.ts';
import { type Passing, Segments } from './segment.ts';
import type { TakenAt } from './vantage.ts';

/** Time of the first packet on the clock that events have. */
const START_NS = 1e9;
/** A packet that was captured may be so long on its way here. */
const ON_THE_WAY_NS = 2e9;
/** Packets of several devices are out of order by less. */
const SET_BACK_NS = 0.1e9;
const NOTHING = new Uint8Array(0);

/** A capture as it is read: what its packets prove, as the messages of a recording. */
export class Capture {
  readonly name: string;
  readonly #reader;
  readonly #segments;
  readonly #follower: Follower;
  #events: Uint8Array[] = [];
  /** Seconds of the wall clock that START_NS is at; null: there was no packet. */
  #first_s: number | null = null;
  /** Up to which everything was told. */
  #now_ns = START_NS;
  /** Of the newest packet: no idle time is in it. */
  #packet_ns = START_NS;
  #told: { [name: string]: number } = {};
  /** Of the kind of link that could not be read; null: there was none. */
  unknown_link: number | null = null;

  /** `name` is shown in place of a host's. */
  constructor(name: string, toaKinds: readonly number[] = []) {
    this.name = name;
    this.#reader = captureReader(toaKinds);
    this.#segments = new Segments(this.#reader);
    this.#follower = new Follower(
      (time_ns, body) => this.#add(time_ns, body),
      (end) => this.#reader.hash(Buffer.from(end, 'latin1')),
    );
  }

  /** What of the capture was read so far is of TCP. */
  get segments(): number {
    return this.#follower.segments;
  }

  /** The host that it was taken at, as far as it was read. */
  get taken_at(): TakenAt {
    return this.#follower.vantage.result();
  }

  get packets(): number {
    return this.#reader.counts().packets;
  }

  /** Whether a packet was seen, so that it is known when it began. */
  get begun(): boolean {
    return this.#first_s !== null;
  }

  header(): Header {
    const offset_ns = BigInt(this.#first_s ?? 0) * 1_000_000_000n - BigInt(START_NS);
    return {
      magic: 'tcpwhy',
      format: FORMAT,
      tcpwhy_version: VERSION,
      host: this.name,
      kernel: '',
      machine: '',
      clock_offset_ns: String(offset_ns),
      start_ktime_ns: START_NS,
      tier: 'packets',
      hooks: [],
      // What kernels say that give no reasons: packets give none either.
      enums: ['skb_drop_reason', 'sk_rst_reason'].map((name) => ({
        name,
        names: { 0: 'NOT_SPECIFIED' },
      })),
      sysctls: {},
      counters: {},
      filters: [],
      netns: 0,
      run: '0',
      part: 1,
    };
  }

  /** The next bytes, cut anywhere: messages. Throws with `code` ENOCAPTURE where they are no capture. */
  push(bytes: Uint8Array): Uint8Array {
    this.#segments.give(bytes);
    return this.#taken();
  }

  /** The same of so many bytes at once: while some are followed, the next are read. Read to its end. */
  *pushed(bytes: Uint8Array, slice_bytes: number): Generator<Uint8Array> {
    let slices = 0;
    for (let from = 0; from < bytes.length; from += slice_bytes, slices++)
      this.#segments.give(bytes.subarray(from, from + slice_bytes), bytes.length > slice_bytes);
    for (; slices > 0; slices--) yield this.#taken();
  }

  #taken(): Uint8Array {
    this.#segments.take(this.#take);
    this.#now_ns = Math.max(this.#now_ns, this.#packet_ns);
    return this.#messages();
  }

  readonly #take = (segment: Passing): void => {
    this.#first_s ??= segment.sec;
    const time_ns = START_NS + (segment.sec - this.#first_s) * 1e9 + segment.nsec;
    if (time_ns > this.#packet_ns) this.#packet_ns = time_ns;
    else if (time_ns < this.#packet_ns - SET_BACK_NS) this.#follower.clockSetBack(this.#packet_ns);
    this.#follower.take(segment, this.#packet_ns);
  };

  /** Time goes on, and nothing comes. */
  idle(elapsed_ns: number): Uint8Array {
    if (!this.begun) return NOTHING;
    this.#now_ns += elapsed_ns;
    this.#follower.advance(this.#now_ns - ON_THE_WAY_NS);
    return this.#messages();
  }

  /** No more bytes; `cut` where there should have been. */
  end(cut: boolean): Uint8Array {
    this.#follower.finish();
    const { rest } = this.#reader.counts();
    const lost = rest > 0 || cut ? [{ name: 'capture_cut_off', count: 1 }] : [];
    return this.#messages(lost);
  }

  #add(time_ns: number, body: Message): void {
    this.#events.push(encodeEvent({ ktime_ns: Math.round(time_ns), occurrences: 1, ...body }));
  }

  #messages(lost: { name: string; count: number }[] = []): Uint8Array {
    const losses = [...lost, ...this.#losses()];
    if (losses.length > 0) this.#add(this.#now_ns, { tick: { lost: losses } });
    else this.#events.push(encodeBareTick(Math.round(this.#now_ns)));
    const messages = Buffer.concat(this.#events);
    this.#events = [];
    return messages;
  }

  /** Since it was asked last. */
  #losses(): { name: string; count: number }[] {
    const { cut, fragments, dropped, damaged, unknownLink, linkType } = this.#reader.counts();
    if (unknownLink > 0) this.unknown_link = linkType;
    const now = {
      capture_dropped: dropped,
      capture_damaged: damaged,
      capture_headers_cut: cut,
      capture_fragments: fragments,
      capture_unknown_link: unknownLink,
    };
    const rows = Object.entries(now).map(([name, count]) => ({
      name,
      count: count - (this.#told[name] ?? 0),
    }));
    this.#told = now;
    return rows.filter(({ count }) => count > 0);
  }
}
