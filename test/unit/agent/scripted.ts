// SPDX-License-Identifier: Apache-2.0

import type { Source } from '../../../src/source/source.ts';
import { encodeEvent } from '../../../src/wire/decode.ts';
import type { Header } from '../../../src/wire/types.gen.ts';
import { headerWith } from '../causes/fixture.ts';
import { HEADER, packetEvent, tick } from '../diagnose/events.ts';

const TICK_MS = 100;

/** A host on which nothing happens but what it is told: each drop is of a finding of its port. */
export class ScriptedSource implements Source {
  readonly header: Header;
  #ms = 0;
  #drops: number[] = [];
  /** What the wall clock is ahead by now, and whether that was told. */
  #clock: { offset_ns: string; told: boolean } | null = null;
  #seq = 0;

  constructor(run: string) {
    this.header = { ...headerWith(HEADER), run };
  }

  /** Before the next tick. */
  drops(...ports: number[]): void {
    this.#drops.push(...ports);
  }

  /** The wall clock is set, by so many nanoseconds from where it was at the start. */
  setsClock(by_ns: number): void {
    const offset_ns = String(BigInt(this.header.clock_offset_ns) + BigInt(by_ns));
    this.#clock = { offset_ns, told: false };
  }

  beginParts(): void {}

  begin(): Uint8Array {
    return encodeEvent(tick(1));
  }

  tick(): Uint8Array {
    this.#ms += TICK_MS;
    const events = this.#drops.map((dport, i) =>
      packetEvent('drop', {
        ms: this.#ms - TICK_MS + i,
        dport,
        from: `10.1.0.${dport % 200}`,
        seq: ++this.#seq,
      }),
    );
    this.#drops = [];
    const clock = this.#clock?.told === false ? [this.#toldClock(this.#clock)] : [];
    return Buffer.concat([...events, ...clock, tick(this.#ms)].map(encodeEvent));
  }

  #toldClock(clock: { offset_ns: string; told: boolean }) {
    clock.told = true;
    const { offset_ns } = clock;
    return { ktime_ns: `${this.#ms}000000`, fact: { clock: { offset_ns, was_ns: offset_ns } } };
  }

  again(): Uint8Array {
    return new Uint8Array(0);
  }

  before(): Uint8Array {
    return encodeEvent(tick(this.#ms));
  }

  headerOf(part: number): Header {
    return { ...this.header, part, start_ktime_ns: this.#ms * 1e6 };
  }

  footer(end: string): Uint8Array {
    return encodeEvent({ ktime_ns: this.#ms * 1e6, footer: { end } });
  }

  end(why: string): Uint8Array {
    return Buffer.concat([this.tick(), this.footer(why)]);
  }

  close(): void {}
}
