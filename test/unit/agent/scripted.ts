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
  #seq = 0;

  constructor(run: string) {
    this.header = { ...headerWith(HEADER), run };
  }

  /** Before the next tick. */
  drops(...ports: number[]): void {
    this.#drops.push(...ports);
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
    return Buffer.concat([...events, tick(this.#ms)].map(encodeEvent));
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
