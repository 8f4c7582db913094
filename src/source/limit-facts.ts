// SPDX-License-Identifier: Apache-2.0

import type { Family } from '../tcp/address.ts';
import { encodeEvent } from '../wire/decode.ts';
import type { HostFact } from '../wire/types.gen.ts';
import { u32, u64, type Words } from '../wire/words.ts';
import { AT, BODY, readCommon } from '../wire/written.gen.ts';
import type { Layout } from '../wire/written.ts';

/** So long what was told holds. */
const HOLDS_NS = 1e8;
const NOTHING: never[] = [];

const TABLES: Record<Family, string> = { 4: 'arp_cache', 6: 'ndisc_cache' };

/** What only the host can tell of its limits. */
export interface LimitHost {
  /** Whether a reset's reason may be that too many connections have no process any more. */
  isOrphanLimit(reason: number): boolean;
  /** Whether a segment was dropped because no entry was made for its next hop. */
  isNeighbourLimit(reason: number, location: string): boolean;
  read(path: string): string;
}

/** Reads how much there is of something of which there was too much. */
export class LimitFacts {
  readonly #host: LimitHost;
  readonly #until_ns = new Map<string, number>();

  constructor(host: LimitHost) {
    this.#host = host;
  }

  /** Facts that the record at `at` needs, where they were not told lately, serialized. */
  of(w: Words, at: number, { kind }: Layout): Uint8Array[] {
    const body = at + BODY;
    if (kind === 'reset_sent' && this.#host.isOrphanLimit(u32(w, body + AT.ResetSent.reason)))
      return this.#told(kind, w, at, () => [orphans(this.#host)]);
    if (
      kind === 'drop' &&
      this.#host.isNeighbourLimit(u32(w, body + AT.Drop.reason), u64(w, body + AT.Drop.location))
    )
      return this.#told(kind, w, at, () => [neighbours(this.#host, 4), neighbours(this.#host, 6)]);
    return NOTHING;
  }

  forget(): void {
    this.#until_ns.clear();
  }

  #told(what: string, w: Words, at: number, ask: () => (Partial<HostFact> | null)[]): Uint8Array[] {
    const { ktime_ns } = readCommon(w, at);
    if (ktime_ns < (this.#until_ns.get(what) ?? 0)) return NOTHING;
    this.#until_ns.set(what, ktime_ns + HOLDS_NS);
    return ask().flatMap((fact) => (fact ? [encodeEvent({ ktime_ns, fact })] : NOTHING));
  }
}

/** Null in a namespace other than the host's first, which alone has the setting. */
function orphans({ read }: LimitHost): Partial<HostFact> | null {
  try {
    const max = Number(read('/proc/sys/net/ipv4/tcp_max_orphans'));
    const count = /^TCP:.* orphan (\d+)/m.exec(read('/proc/net/sockstat'))?.[1];
    return count === undefined ? null : { orphans: { count: Number(count), max } };
  } catch {
    return null;
  }
}

/** A line a CPU, of which each has the entries and its own count of what found no room, in hexadecimal digits. */
function neighbours({ read }: LimitHost, family: Family): Partial<HostFact> | null {
  try {
    const max = Number(read(`/proc/sys/net/ipv${family}/neigh/default/gc_thresh3`));
    const [head = [], ...cpus] = read(`/proc/net/stat/${TABLES[family]}`)
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/));
    const of = (name: string) =>
      cpus.map((columns) => Number.parseInt(columns[head.indexOf(name)] ?? '', 16));
    const [entries = Number.NaN] = of('entries');
    const overflows = of('table_fulls').reduce((sum, count) => sum + count, 0);
    if (!Number.isSafeInteger(entries) || !Number.isSafeInteger(overflows)) return null;
    return { neighbour_table: { family, entries, max, overflows } };
  } catch {
    return null;
  }
}
