// SPDX-License-Identifier: Apache-2.0

import { isTakenUp, NFT_FREES, TRACKED } from '../causes/shared/conntrack.ts';
import { cpu_ms as thisThread_ms } from '../host/kernel.ts';
import { type Candidate, droppers, untracking } from '../host/nftables/droppers.ts';
import { LegacyTables } from '../host/nftables/legacy.ts';
import {
  type Device,
  type Hook,
  type Rules,
  type Segment,
  TooMany,
} from '../host/nftables/match.ts';
import { NFPROTO } from '../host/nftables/op.ts';
import {
  type Ask,
  type Chain,
  Changed,
  FAMILIES,
  Nftables,
  TooLarge,
} from '../host/nftables/ruleset.ts';
import { ruleText } from '../host/nftables/text.ts';
import type { DeviceName } from '../host/nftables/values.ts';
import { packetOfRules } from '../known/drop-rules.ts';
import { addressBytes, familyOf, IPV4_AT } from '../tcp/address.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import { encodeEvent } from '../wire/decode.ts';
import type { Event } from '../wire/event.ts';
import type { Drop, DropRule, DropRules } from '../wire/types.gen.ts';
import { u32, u64, type Words } from '../wire/words.ts';
import { AT, BODY } from '../wire/written.gen.ts';
import { eventAt, type Layout } from '../wire/written.ts';

/** So long holds what is read of a namespace beside its rules: what they count, what is in sets, names of devices. */
const HOLDS_NS = 1e9;
/** Nobody looks for so many times as long as it took, but that so much of it may be put off. */
const RESTS = 10;
const PUTS_OFF_NS = 5e9;
const MAX_REMEMBERED = 4096;
const MAX_NAMESPACES = 64;
/** Of one packet that are told. */
const MAX_RULES = 4;

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

/** What may have dropped a packet, among these rules. */
interface Dropper extends Candidate {
  rules: Rules;
}

/** Of iptables-legacy; `unread`: tables of which nobody knows. */
interface Legacy {
  segment: Segment | null;
  droppers: Dropper[];
  unread: string[];
  untracked: Untracked;
}

type Found = Pick<DropRules, 'rules' | 'others'>;
type Untracked = Pick<DropRules, 'untracked' | 'untracked_surely'>;

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
    const segment = this.#segment(netns, namespace.devices, drop, family);
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
    const device = (ifindex: number) => this.#deviceOf(netns, namespace.devices, ifindex);
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
      const segment = this.#segment(netns, new Map(), drop, family);
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

  #segment(netns: number, devices: Map<number, string | null>, drop: Drop, family: 4 | 6): Segment {
    const { packet, leaves_ifindex, route_ifindex, conntrack } = drop;
    const { flow, flags, seq, ack_seq, window, ttl, ifindex } = packet;
    const bytes = (text: string) => addressBytes(text).subarray(family === 4 ? IPV4_AT : 0);
    const hooks = hooksOf(drop);
    const device = (ifindex: number): Device => {
      return { ifindex, name: ifindex === 0 ? '' : this.#deviceOf(netns, devices, ifindex) };
    };
    const left = isRejectedSent(drop) ? 0 : leaves_ifindex;
    const leaves = left || (hooks.some((hook) => LEAVING.has(hook)) ? route_ifindex : 0);
    return {
      ...{ family, flags, seq, ack_seq, window, ttl, hooks },
      saddr: bytes(flow.saddr),
      daddr: bytes(flow.daddr),
      sport: flow.sport,
      dport: flow.dport,
      // The kernel does not always tell a rule there where the packet came in.
      arrived_on: hooks.includes('postrouting') && ifindex > 0 ? null : device(ifindex),
      leaves_by:
        isBridged(drop) || (leaves === 0 && hooks.some((hook) => LEAVING.has(hook)))
          ? null
          : device(leaves),
      conntrack: conntrack && { info: conntrack.info, status: conntrack.status },
    };
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

const LEAVING: ReadonlySet<Hook> = new Set(['forward', 'output', 'postrouting']);
const LOOPBACK_IFINDEX = 1;

/** A rule that rejects gives what this host sends, and has no device yet, that of loopback (IPv6). */
const isRejectedSent = ({ packet, leaves_ifindex, rejected }: Drop) =>
  rejected > 0 && packet.ifindex === 0 && leaves_ifindex === LOOPBACK_IFINDEX;

/**
 * What a bridge passes on meets rules of IP too (br_netfilter): as it comes in, without a route yet, then with
 * one of the bridge. To these it comes in and leaves by the bridge, not by its ports.
 */
const isBridged = ({ packet, leaves_ifindex, route_ifindex }: Drop) =>
  packet.ifindex > 0 && leaves_ifindex > 0 && route_ifindex !== leaves_ifindex;

/** Where a packet was, by where it came in, where it should leave, and where its route leads. */
function hooksOf(drop: Drop): Hook[] {
  const { packet, leaves_ifindex, route_ifindex, rejected } = drop;
  const { ifindex } = packet;
  if (isRejectedSent(drop)) return ['output', 'postrouting'];
  if (isBridged(drop))
    return route_ifindex === 0
      ? ['prerouting', 'forward', 'postrouting']
      : ['forward', 'postrouting'];
  if (leaves_ifindex > 0) return ['postrouting'];
  if (ifindex === 0) return ['output'];
  // What a host sends to itself has its route from the beginning.
  if (ifindex === LOOPBACK_IFINDEX) return ['prerouting', 'input'];
  if (route_ifindex === 0) return ['prerouting'];
  if (route_ifindex === LOOPBACK_IFINDEX) return ['input'];
  // A device that stands for others (VRF) has the routes to this host too.
  const routed: Hook[] = route_ifindex === ifindex ? ['forward', 'input'] : ['forward'];
  // A rule that rejects before there is a route gives it that of the answer.
  return rejected > 0 ? ['prerouting', ...routed] : routed;
}

/** Connection tracking takes it for part of no connection that it knows, as far as rules are told. */
const isUnknown = ({ conntrack, flags }: Segment) =>
  conntrack?.info === TRACKED.NO_ENTRY ||
  conntrack?.info === TRACKED.UNTRACKED ||
  isTakenUp(flags ?? 0, conntrack);

/** As an answer has it, of an open connection: enum ip_conntrack_info, and IPS_SEEN_REPLY with what comes of it. */
const ESTABLISHED = { info: 3, status: 0x0e };

function foundOf(all: Dropper[], drop: Drop, segment: Segment | null, device: DeviceName): Found {
  const found = answering(all, drop);
  const [first] = found;
  const regardless =
    found.length === 1 && first && segment && isUnknown(segment) && dropsRegardless(first, segment);
  const rules = found
    .slice(0, MAX_RULES)
    .map((one) => ({ ...toldOf(one, device), regardless: regardless ? 1 : 0 }));
  return { rules, others: found.length - rules.length };
}

const TRACKED_ALL: Untracked = { untracked: [], untracked_surely: 0 };
const NO_LEGACY = { segment: null, droppers: [], untracked: TRACKED_ALL };

/** Rules that leave alone what is not tracked, or what began the connection of a segment that is INVALID, or answered it. */
function untrackedOf(rules: Rules, segment: Segment, device: DeviceName): Untracked {
  const info = segment.conntrack?.info;
  if (info !== TRACKED.NO_ENTRY && info !== TRACKED.UNTRACKED) return TRACKED_ALL;
  const left_alone =
    info === TRACKED.UNTRACKED ? [beforeTracking(segment)] : segmentsBefore(segment);
  const found = left_alone.flatMap((one) => untracking(rules, one));
  const sure = found.filter((one) => one.sure);
  const byRule = new Map((sure.length > 0 ? sure : found).map((one) => [one.rule, one]));
  return {
    untracked: [...byRule.values()]
      .slice(0, MAX_RULES)
      .map((one) => toldOf({ ...one, rules }, device)),
    untracked_surely: Number(sure.length > 0),
  };
}

/** As rules see it before connection tracking does. */
function beforeTracking(segment: Segment): Segment {
  const isOwn = segment.hooks.includes('output');
  return {
    ...{ ...segment, conntrack: null, leaves_by: null },
    ...(isOwn && { arrived_on: NO_DEVICE }),
    hooks: [isOwn ? 'output' : 'prerouting'],
  };
}

/** What the rest of its handshake looked like there. */
function segmentsBefore(segment: Segment): Segment[] {
  const { saddr, daddr, sport, dport, hooks } = segment;
  const isForHere = hooks.includes('input');
  const unknown = { seq: null, ack_seq: null, window: null, ttl: null };
  const same: Segment = { ...beforeTracking(segment), ...unknown };
  const back = (hook: Hook): Segment => ({
    ...same,
    ...{ saddr: daddr, daddr: saddr, sport: dport, dport: sport },
    ...{ arrived_on: hook === 'output' ? NO_DEVICE : null, hooks: [hook] },
  });
  const answers: Segment[] = [
    ...(isForHere ? [back('output')] : []),
    ...(isForHere && hooks.length === 1 ? [] : [back('prerouting')]),
  ];
  const { syn, ack } = TCP_FLAG;
  return [
    { ...same, flags: syn },
    { ...same, flags: syn | ack },
    ...answers.flatMap((one) => [
      { ...one, flags: syn },
      { ...one, flags: syn | ack },
    ]),
  ];
}

const NO_DEVICE: Device = { ifindex: 0, name: '' };

/** Whether it would drop a segment of a known connection as well. */
function dropsRegardless({ rules, hook, chain, rule }: Dropper, segment: Segment): boolean {
  const known = droppers(rules, { ...segment, conntrack: ESTABLISHED });
  return known.some((one) => one.hook === hook && one.chain === chain && one.rule === rule);
}

/** Those that do what was seen: answer, or not. */
function answering(found: Dropper[], { rejected, packet }: Drop): Dropper[] {
  if (rejected > 0) return found.filter((one) => answerOf(one) === rejected);
  // Resets are answered with none, and ICMP errors are limited.
  const mayBeSilent = (one: Candidate) =>
    answerOf(one) !== RESET || (packet.flags & TCP_FLAG.rst) !== 0;
  const silent = found.filter(mayBeSilent);
  return silent.length > 0 ? silent : found;
}

/** As Drop.rejected numbers them. */
const [RESET, ICMP] = [1, 2];

function answerOf({ rule }: Candidate): number {
  for (const op of rule?.ops ?? []) {
    if (op.kind === 'reject') return op.answer === 'reset' ? RESET : ICMP;
  }
  return 0;
}

function toldOf(one: Dropper, device: DeviceName): DropRule {
  const { hook, chain, rule, rules } = one;
  return {
    family: familyName(one),
    ...{ table: chain.table, chain: chain.chain, hook },
    handle: rule?.handle ?? '0',
    text: rule ? ruleText(rule, (set) => membersOf(rules, chain, set), device) : 'policy drop',
    answer: answerOf(one),
    regardless: 0,
  };
}

const membersOf = (rules: Rules, chain: Chain, set: string) =>
  rules instanceof Nftables ? rules.members(chain, set) : null;

/** The program's name stands for tables that only it can show. */
function familyName({ chain, rules }: Dropper): string {
  if (rules instanceof LegacyTables)
    return chain.family === NFPROTO.IPV6 ? 'ip6tables-legacy' : 'iptables-legacy';
  return FAMILIES[chain.family] ?? String(chain.family);
}
