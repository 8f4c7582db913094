// SPDX-License-Identifier: Apache-2.0

import { cpu_ms as thisThread_ms } from '../host/kernel.ts';
import { encodeEvent } from '../wire/decode.ts';
import type { CallFailed, ConnectAsked } from '../wire/types.gen.ts';
import type { Words } from '../wire/words.ts';
import { readCommon } from '../wire/written.gen.ts';
import type { Layout } from '../wire/written.ts';

/** Routes, rules and programs come and go: so long what was told of a failure holds. */
const HOLDS_NS = 1e9;
/** Asking may take so long at once, and so much of the time. */
const BUDGET_MS = 2000;
const SHARE = 0.2;
const MAX_REMEMBERED = 4096;
/** Of what found no room to be counted apart. */
const NO_KEY = '0';

const NOTHING: never[] = [];

/** What the host says of a failed call; null where its namespace is gone. */
export type AskOf = (netns: number, failed: CallFailed) => Omit<ConnectAsked, 'key'> | null;

/** Asks why a connect() or bind() failed, when one did. */
export class CallFacts {
  readonly #ask: AskOf;
  readonly #cpu_ms: () => number;
  /** By key: until when what was told holds. */
  readonly #told = new Map<string, number>();
  #budget_ms = BUDGET_MS;
  #at_ns = 0;

  constructor(ask: AskOf, cpu_ms = thisThread_ms) {
    this.#ask = ask;
    this.#cpu_ms = cpu_ms;
  }

  /** The fact that the record at `at` needs, where it was not told lately, serialized. */
  of(w: Words, at: number, layout: Layout): Uint8Array[] {
    if (layout.kind !== 'call_failed') return NOTHING;
    const { ktime_ns, netns, key } = readCommon(w, at);
    if (key !== NO_KEY && ktime_ns < (this.#told.get(key) ?? 0)) return NOTHING;
    const passed_ms = Math.max(0, ktime_ns - this.#at_ns) / 1e6;
    this.#at_ns = ktime_ns;
    this.#budget_ms = Math.min(BUDGET_MS, this.#budget_ms + SHARE * passed_ms);
    if (this.#budget_ms < 0) return NOTHING;
    const began_ms = this.#cpu_ms();
    const asked = this.#ask(netns, layout.body(w, at));
    this.#budget_ms -= this.#cpu_ms() - began_ms;
    if (this.#told.size >= MAX_REMEMBERED) this.#told.clear();
    this.#told.set(key, ktime_ns + HOLDS_NS);
    return asked
      ? [encodeEvent({ ktime_ns, fact: { connect_asked: { key, ...asked } } })]
      : NOTHING;
  }

  /** Everything is told again. */
  forget(): void {
    this.#told.clear();
  }
}
