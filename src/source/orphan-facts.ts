// SPDX-License-Identifier: Apache-2.0

import { encodeEvent } from '../wire/decode.ts';
import type { Orphans } from '../wire/types.gen.ts';
import { u32, type Words } from '../wire/words.ts';
import { AT, BODY, readCommon } from '../wire/written.gen.ts';
import type { Layout } from '../wire/written.ts';

/** So long what was told holds. */
const HOLDS_NS = 1e9;
const NOTHING: never[] = [];

/** Reads how many connections have no process any more, when one was too many. */
export class OrphanFacts {
  readonly #isLimit: (reason: number) => boolean;
  readonly #read: (path: string) => string;
  #until_ns = 0;

  /** `isLimit` says of a reset's reason whether it may be that there were too many. */
  constructor(isLimit: (reason: number) => boolean, read: (path: string) => string) {
    this.#isLimit = isLimit;
    this.#read = read;
  }

  /** The fact that the record at `at` needs, where it was not told lately, serialized. */
  of(w: Words, at: number, { kind }: Layout): Uint8Array[] {
    if (kind !== 'reset_sent' || !this.#isLimit(u32(w, at + BODY + AT.ResetSent.reason)))
      return NOTHING;
    const { ktime_ns } = readCommon(w, at);
    if (ktime_ns < this.#until_ns) return NOTHING;
    this.#until_ns = ktime_ns + HOLDS_NS;
    const orphans = this.#orphans();
    return orphans ? [encodeEvent({ ktime_ns, fact: { orphans } })] : NOTHING;
  }

  forget(): void {
    this.#until_ns = 0;
  }

  #orphans(): Orphans | null {
    try {
      const max = Number(this.#read('/proc/sys/net/ipv4/tcp_max_orphans'));
      const count = /^TCP:.* orphan (\d+)/m.exec(this.#read('/proc/net/sockstat'))?.[1];
      return count === undefined ? null : { count: Number(count), max };
    } catch {
      // Only the host's first namespace has the setting.
      return null;
    }
  }
}
