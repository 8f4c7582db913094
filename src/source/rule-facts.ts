// SPDX-License-Identifier: Apache-2.0

import { cpu_ms as thisThread_ms } from '../host/kernel.ts';
import { droppers } from '../host/nftables/droppers.ts';
import { LegacyTables } from '../host/nftables/legacy.ts';
import { type Segment, TooMany } from '../host/nftables/match.ts';
import { type Ask, Changed, Nftables, TooLarge } from '../host/nftables/ruleset.ts';
import type { DeviceName } from '../host/nftables/values.ts';
import { packetOfRules } from '../known/drop-rules.ts';
import { addressBytes, familyOf } from '../tcp/address.ts';
import { NFT_FREES } from '../tcp/conntrack.ts';
import { encodeEvent } from '../wire/decode.ts';
import type { Event } from '../wire/event.ts';
import type { Drop, DropRules } from '../wire/types.gen.ts';
import { u32, u64, type Words } from '../wire/words.ts';
import { AT, BODY } from '../wire/written.gen.ts';
import { eventAt, type Layout } from '../wire/written.ts';
import { segmentOf } from './rule-segment.ts';
import { type Dropper, type Found, foundOf } from './rules-told.ts';
import { TRACKED_ALL, type Untracked, untrackedOf } from './untracked-rules.ts';

/** So long holds what is read of a namespace beside its rules: what they count, what is in sets, names of devices. */
const HOLDS_NS = 1e9;
/** Nobody looks for so many times as long as it took, but that so much of it may be put off. */
const RESTS = 10;
const PUTS_OFF_NS = 5e9;
const MAX_REMEMBERED = 4096;
const MAX_NAMESPACES = 64;

const NOTHING: never[] = [];

/** What only the host can tell of the rules of a network namespace (its inode number). */
export interface RuleHost {
  /** Whether netfilter frees what is dropped for this reason at that place. */
  isByNetfilter(reason: number, location: string): boolean;
  symbol(location: string): string | undefined;
  /** Where nf_tables drops a packet, it frees it itself. */
  frees: boolean;
  /** Netlink of nf_tables; null where the namespace is gone. */
  ask(netns: number): Ask | null;
  deviceName(netns: number, ifindex: number): string | null;
  /** Of iptables-legacy, that are there. */
  legacyTables(netns: number, family: 4 | 6): string[];
  /** As LegacyTables takes it; null where it cannot be read. */
  legacyTable(netns: number, family: 4 | 6, name: string): Buffer | null;
  now_ns(): number;
}

/** Of iptables-legacy; `unread`: tables of which nobody knows. */
interface Legacy {
  segment: Segment | null;
  droppers: Dropper[];
  unread: string[];
  untracked: Untracked;
}

interface Namespace {
  rules: Nftables;
  /** Until then they are as they are. */
  checked_ns: number;
  /** Those before, where they changed between the last two checks; and the first of these. */
  before: Nftables | null;
  before_ns: number;
  devices: Map<number, string | null>;
  /** From then on what is beside them is read anew. */
  until_ns: number;
}

/** Finds which rules may have dropped a packet, when one was dropped by a rule. */
export class RuleFacts {
  readonly #host: RuleHost;
  readonly #namespaces = new Map<number, Namespace>();
  /** By packet: what was told. */
  readonly #told = new Map<string, string>();
  readonly #legacy = new Map<string, { names: string[]; until_ns: number }>();
  /** As they were read last. */
  readonly #legacyRead = new Map<string, { rules: LegacyTables; read_ns: number }>();
  readonly #cpu_ms: () => number;
  #rested_ns = 0;

  /** `cpu_ms` tells how long the host took. */
  constructor(host: RuleHost, cpu_ms = thisThread_ms) {
    this.#host = host;
    this.#cpu_ms = cpu_ms;
  }

  /** The fact that the record at `at` needs, where it was not told lately, serialized. */
  of(w: Words, at: number, layout: Layout): Uint8Array[] {
    if (layout.kind !== 'drop') return NOTHING;
    const drop = at + BODY + AT.Drop.reason;
    if (!this.#host.isByNetfilter(u32(w, drop), u64(w, at + BODY + AT.Drop.location)))
      return NOTHING;
    const event = eventAt(w, at, layout) as Event;
    if (event.kind !== 'drop') return NOTHING;
    const { ktime_ns, netns } = event;
    const id = packetOfRules(netns, event.body);
    if (this.#rested_ns - ktime_ns > PUTS_OFF_NS) return NOTHING;
    const began_ms = this.#cpu_ms();
    const drop_rules = this.#find(netns, event.body, ktime_ns);
    const took_ns = (this.#cpu_ms() - began_ms) * 1e6;
    this.#rested_ns = Math.max(this.#rested_ns, ktime_ns) + RESTS * took_ns;
    if (!drop_rules) return NOTHING;
    const fact = JSON.stringify(drop_rules);
    if (this.#told.size >= MAX_REMEMBERED) this.#told.clear();
    if (fact === this.#told.get(id)) return NOTHING;
    this.#told.set(id, fact);
    const { sport, dport } = event.body.packet.flow;
    const flow = {
      ...{ sport, dport },
      saddr: addressBytes(event.body.packet.flow.saddr),
      daddr: addressBytes(event.body.packet.flow.daddr),
    };
    return [encodeEvent({ ktime_ns, fact: { drop_rules: { ...drop_rules, flow } } })];
  }

  /** Everything is told again. */
  forget(): void {
    this.#told.clear();
  }

  /** Null where nothing can be told: the namespace is gone, or its rules have just changed. */
  #find(netns: number, drop: Drop, ktime_ns: number): Omit<DropRules, 'flow'> | null {
    const { packet, leaves_ifindex, rejected } = drop;
    const family = familyOf(packet.flow.saddr);
    const isNft = this.#host.symbol(drop.location) === NFT_FREES;
    const names = isNft ? [] : this.#legacyTables(netns, family, ktime_ns);
    const legacy = this.#legacyDroppers(netns, names, drop, family, ktime_ns);
    if (legacy === null) return null;
    const legacy_tables = legacy.unread;
    const told = {
      ...{ netns, flags: packet.flags, ifindex: packet.ifindex, leaves_ifindex, rejected },
      ...{ rules: [], others: 0, too_many: 0, legacy_tables, ...legacy.untracked },
      legacy_read: names.filter((name) => !legacy_tables.includes(name)),
    };
    if (this.#host.frees && !isNft) {
      return names.length === 0
        ? null
        : { ...told, ...foundOf(legacy.droppers, drop, legacy.segment, NO_NAME) };
    }
    const found = this.#found(netns, drop, family, ktime_ns, legacy.droppers);
    if (found === null) return null;
    if (found === 'too many') return { ...told, too_many: 1 };
    return { ...told, ...found };
  }

  #found(
    netns: number,
    drop: Drop,
    family: 4 | 6,
    ktime_ns: number,
    legacy: Dropper[],
  ): (Found & Partial<Untracked>) | 'too many' | null {
    // A namespace may have the number of one that went away.
    for (let tries = 0; tries < 2; tries++) {
      try {
        return this.#candidates(netns, drop, family, ktime_ns, legacy);
      } catch (error) {
        if (error instanceof TooLarge || error instanceof TooMany) return 'too many';
        if (error instanceof Changed) return null;
        this.#namespaces.delete(netns);
      }
    }
    return null;
  }

  #candidates(
    netns: number,
    drop: Drop,
    family: 4 | 6,
    ktime_ns: number,
    legacy: Dropper[],
  ): (Found & Partial<Untracked>) | null {
    const namespace = this.#namespace(netns, ktime_ns);
    if (!namespace) return null;
    const { before, before_ns } = namespace;
    const rules = before && ktime_ns <= before_ns ? before : namespace.rules;
    const device = (ifindex: number) => this.#deviceOf(netns, namespace.devices, ifindex);
    const segment = segmentOf(drop, family, device);
    const droppersOf = (rules: Nftables): Dropper[] => {
      const found = droppers(rules, segment).map((one) => ({ ...one, rules }));
      if (found.length === 1) return found;
      for (const { chain, rule } of found) {
        if (rule?.packets != null) rules.count(chain, ktime_ns, HOLDS_NS);
      }
      return found.filter(({ chain, rule }) => !rule || !rules.metNothing(chain, rule, ktime_ns));
    };
    const isBetween = before !== null && rules !== before;
    if (isBetween && rules.leavesOut(before)) return null;
    // Which came first, the drop or the change, nobody knows.
    const gone = isBetween ? droppersOf(before) : [];
    const found = foundOf([...gone, ...droppersOf(rules), ...legacy], drop, segment, device);
    const untracked = untrackedOf(rules, segment, device);
    if (rules.wasRead() && !rules.isSame()) return null;
    return { ...found, ...(untracked.untracked.length > 0 && untracked) };
  }

  /** Null where they have just changed. */
  #legacyDroppers(
    netns: number,
    names: string[],
    drop: Drop,
    family: 4 | 6,
    ktime_ns: number,
  ): Legacy | null {
    if (names.length === 0) return { ...NO_LEGACY, unread: [] };
    const tables = new Map<string, Buffer>();
    for (const name of names) {
      const table = this.#host.legacyTable(netns, family, name);
      if (!table) return { ...NO_LEGACY, unread: names };
      tables.set(name, table);
    }
    const id = `${netns} ${family}`;
    const earlier = this.#legacyRead.get(id);
    try {
      const rules = new LegacyTables(family, tables);
      const read_ns = this.#host.now_ns();
      if (this.#legacyRead.size >= MAX_NAMESPACES) this.#legacyRead.clear();
      this.#legacyRead.set(id, { rules, read_ns });
      const isSame = earlier !== undefined && rules.follows(earlier.rules);
      if (earlier && !isSame && read_ns - earlier.read_ns < HOLDS_NS) return null;
      const before = isSame && earlier.read_ns <= ktime_ns ? earlier.rules : null;
      const segment = segmentOf(drop, family, (ifindex) => this.#host.deviceName(netns, ifindex));
      const found = droppers(rules, segment);
      // All of them count, and begin with nothing where they are made anew.
      const met = found.filter(
        ({ chain, rule }) => rules.packets(chain, rule) > (before?.packetsOfSame(chain, rule) ?? 0),
      );
      return {
        segment,
        droppers: met.map((one) => ({ ...one, rules })),
        unread: [],
        untracked: untrackedOf(rules, segment, NO_NAME),
      };
    } catch (error) {
      if (error instanceof Changed || error instanceof TooMany)
        return { ...NO_LEGACY, unread: names };
      throw error;
    }
  }

  #legacyTables(netns: number, family: 4 | 6, ktime_ns: number): string[] {
    const id = `${netns} ${family}`;
    const known = this.#legacy.get(id);
    if (known && ktime_ns < known.until_ns) return known.names;
    const names = this.#host.legacyTables(netns, family);
    if (this.#legacy.size >= MAX_NAMESPACES) this.#legacy.clear();
    this.#legacy.set(id, { names, until_ns: this.#host.now_ns() + HOLDS_NS });
    return names;
  }

  /** As it was just after `ktime_ns`; null where it is gone. */
  #namespace(netns: number, ktime_ns: number): Namespace | null {
    const known = this.#namespaces.get(netns);
    if (known && ktime_ns <= known.checked_ns) return known;
    const now_ns = this.#host.now_ns();
    if (known && now_ns < known.until_ns && known.rules.isSame()) {
      known.checked_ns = now_ns;
      known.before = null;
      return known;
    }
    this.#namespaces.delete(netns);
    const ask = this.#host.ask(netns);
    if (!ask) return null;
    const isLately = known && now_ns - known.checked_ns < HOLDS_NS;
    const earlier = isLately ? known.rules : null;
    const rules = new Nftables(ask, () => this.#host.now_ns(), earlier);
    if (this.#namespaces.size >= MAX_NAMESPACES) this.#namespaces.clear();
    const namespace: Namespace = {
      rules,
      checked_ns: now_ns,
      before: earlier && !rules.follows(earlier) && hasChanged(earlier) ? earlier : null,
      before_ns: known?.checked_ns ?? 0,
      devices: new Map(),
      until_ns: now_ns + HOLDS_NS,
    };
    this.#namespaces.set(netns, namespace);
    return namespace;
  }

  #deviceOf(netns: number, devices: Map<number, string | null>, ifindex: number): string | null {
    let name = devices.get(ifindex);
    if (name === undefined) {
      name = this.#host.deviceName(netns, ifindex);
      devices.set(ifindex, name);
    }
    return name;
  }
}

/** Rules of iptables-legacy have names of devices, and no numbers. */
const NO_NAME: DeviceName = () => null;

/** Not where the namespace is another, of the same number. */
function hasChanged(rules: Nftables): boolean {
  try {
    return !rules.isSame();
  } catch {
    return false;
  }
}

const NO_LEGACY = { segment: null, droppers: [], untracked: TRACKED_ALL };
