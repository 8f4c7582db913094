// SPDX-License-Identifier: Apache-2.0

import { cpu_ms as thisThread_ms } from '../host/kernel.ts';
import { addressBytes } from '../tcp/address.ts';
import { ENTRY, TRACKED } from '../tcp/conntrack.ts';
import { LOOPBACK_IFINDEX } from '../tcp/loopback.ts';
import { encodeEvent } from '../wire/decode.ts';
import type { Flow, TableUsers, TrackingLimits } from '../wire/types.gen.ts';
import { address, u32, type Words } from '../wire/words.ts';
import { AT, BODY, readCommon } from '../wire/written.gen.ts';
import type { Layout } from '../wire/written.ts';

/** Rules come and go: so long what was read holds. */
const HOLDS_NS = 1e9;
/** Until it is told again where rules send a connection: less than it is remembered. */
const TOLD_HOLDS_NS = 60e9;
/** Who fills a table stays the same for longer, and takes longer to ask. */
const USERS_HOLD_NS = 60e9;
/** After reading nobody reads again for so many times as long. */
const RESTS = 10;
const MAX_REMEMBERED = 4096;

const NOTHING: never[] = [];

/** What only the host can tell of connection tracking; null where the namespace is gone, or does not let it read. */
export interface TrackingHost {
  /** Every end that rules at a hook may send a new connection to; empty where that is not known. */
  natRules(netns: number): ((hook: 'prerouting' | 'output', flow: Flow) => string[]) | null;
  tableUsers(netns: number): TableUsers | null;
  limits(netns: number): TrackingLimits | null;
}

type NatEnds = NonNullable<ReturnType<TrackingHost['natRules']>>;

/** Finds where rules would send what an entry sends on, who has the entries of a table that is full, and when entries end. */
export class TrackingFacts {
  readonly #host: TrackingHost;
  readonly #rules = new Map<number, { ends: NatEnds | null; read_ns: number; rests_ns: number }>();
  readonly #told = new Map<string, { ends: string; until_ns: number }>();
  readonly #users_until_ns = new Map<number, number>();
  readonly #limits = new Map<number, { told: string; until_ns: number }>();
  readonly #cpu_ms: () => number;

  constructor(host: TrackingHost, cpu_ms = thisThread_ms) {
    this.#host = host;
    this.#cpu_ms = cpu_ms;
  }

  /** Facts that the record at `at` needs and that were not told lately, serialized. */
  of(w: Words, at: number, { kind }: Layout): Uint8Array[] {
    const body = at + BODY;
    if (kind === 'retransmit') {
      if (w[body + AT.Retransmit.syn] === 0) return NOTHING;
      const passes = w[body + AT.Retransmit.passing] !== 0;
      return this.#natNow(w, at, body + AT.Retransmit.conntrack, !passes);
    }
    if (kind === 'reset_sent')
      return isUnknown(w, body + AT.ResetSent.conntrack) ? this.#limitsOf(w, at) : NOTHING;
    if (kind !== 'drop') return NOTHING;
    const entry = body + AT.Drop.conntrack;
    if (w[entry + AT.Conntrack.info] === TRACKED.NO_ENTRY) {
      if (w[entry + AT.Conntrack.dropped] !== 0) return this.#users(w, at);
      return isUnknown(w, entry) ? this.#limitsOf(w, at) : NOTHING;
    }
    if (u32(w, entry + AT.Conntrack.info) >= TRACKED.REPLY) return NOTHING;
    // What a host sends to itself was translated as it went out.
    const isOwn = u32(w, body + AT.Drop.packet + AT.Packet.ifindex) <= LOOPBACK_IFINDEX;
    return this.#natNow(w, at, entry, isOwn);
  }

  /** Everything is told again. */
  forget(): void {
    this.#told.clear();
    this.#users_until_ns.clear();
    this.#limits.clear();
  }

  #natNow(w: Words, at: number, entry: number, isOwn: boolean): Uint8Array[] {
    if (!(u32(w, entry + AT.Conntrack.status) & ENTRY.CONFIRMED)) return NOTHING;
    const { ktime_ns, netns } = readCommon(w, at);
    const dialled = flowAt(w, entry + AT.Conntrack.sent);
    const rules = this.#rulesOf(netns, ktime_ns);
    const ends = rules?.(isOwn ? 'output' : 'prerouting', dialled) ?? [];
    const id = `${netns} ${Object.values(dialled).join(' ')}`;
    const known = this.#told.get(id);
    const told = ends.join(' ');
    if (known?.ends === told && ktime_ns < known.until_ns) return NOTHING;
    if (this.#told.size >= MAX_REMEMBERED) this.#told.clear();
    this.#told.set(id, { ends: told, until_ns: ktime_ns + TOLD_HOLDS_NS });
    const bytes = {
      ...dialled,
      saddr: addressBytes(dialled.saddr),
      daddr: addressBytes(dialled.daddr),
    };
    return [encodeEvent({ ktime_ns, fact: { nat_now: { netns, dialled: bytes, ends } } })];
  }

  #rulesOf(netns: number, ktime_ns: number): NatEnds | null {
    const known = this.#rules.get(netns);
    // An entry may be younger than rules that were read before.
    if (known && ktime_ns - known.read_ns < HOLDS_NS) return known.ends;
    if (known && ktime_ns - known.read_ns < known.rests_ns) return null;
    const began_ms = this.#cpu_ms();
    const ends = this.#host.natRules(netns);
    const rests_ns = (this.#cpu_ms() - began_ms) * 1e6 * RESTS;
    if (this.#rules.size >= MAX_REMEMBERED) this.#rules.clear();
    this.#rules.set(netns, { ends, read_ns: ktime_ns, rests_ns });
    return ends;
  }

  #users(w: Words, at: number): Uint8Array[] {
    const { ktime_ns, netns } = readCommon(w, at);
    if (ktime_ns < (this.#users_until_ns.get(netns) ?? 0)) return NOTHING;
    if (this.#users_until_ns.size >= MAX_REMEMBERED) this.#users_until_ns.clear();
    this.#users_until_ns.set(netns, ktime_ns + USERS_HOLD_NS);
    const table_users = this.#host.tableUsers(netns);
    return table_users ? [encodeEvent({ ktime_ns, fact: { table_users } })] : NOTHING;
  }

  #limitsOf(w: Words, at: number): Uint8Array[] {
    const { ktime_ns, netns } = readCommon(w, at);
    const known = this.#limits.get(netns);
    if (known && ktime_ns < known.until_ns) return NOTHING;
    const tracking_limits = this.#host.limits(netns);
    if (this.#limits.size >= MAX_REMEMBERED) this.#limits.clear();
    const told = JSON.stringify(tracking_limits);
    this.#limits.set(netns, { told, until_ns: ktime_ns + HOLDS_NS });
    if (!tracking_limits || told === known?.told) return NOTHING;
    return [encodeEvent({ ktime_ns, fact: { tracking_limits } })];
  }
}

/** Connections are tracked, and it is of none that was known before. */
function isUnknown(w: Words, entry: number): boolean {
  const info = w[entry + AT.Conntrack.info];
  return (
    (info === TRACKED.NO_ENTRY || info === TRACKED.NEW) && w[entry + AT.Conntrack.looked_at] === 1
  );
}

function flowAt(w: Words, at: number): Flow {
  return {
    saddr: address(w, at + AT.Flow.saddr),
    daddr: address(w, at + AT.Flow.daddr),
    sport: u32(w, at + AT.Flow.sport),
    dport: u32(w, at + AT.Flow.dport),
    service: 2,
  };
}
