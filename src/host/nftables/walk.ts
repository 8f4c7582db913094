// SPDX-License-Identifier: Apache-2.0

import { ALL_REGISTERS, BASE, type Op, VERDICT, type Verdict } from './op.ts';
import type { Rule } from './rule.ts';
import type { Chain, Element } from './ruleset.ts';

export type Hook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';

/** A TCP segment where netfilter dropped it. */
export interface Segment {
  family: 4 | 6;
  /** Of 4 or 16 bytes. */
  saddr: Uint8Array;
  daddr: Uint8Array;
  sport: number;
  dport: number;
  flags: number;
  seq: number;
  ack_seq: number;
  window: number;
  ttl: number;
  /** Where it may have been. */
  hooks: readonly Hook[];
  /** Null: not known. The number of none is 0, its name empty. */
  arrived_on: Device | null;
  leaves_by: Device | null;
  /** Null: not known. */
  conntrack: { info: number; status: number } | null;
}

export interface Device {
  ifindex: number;
  name: string | null;
}

/** What may have dropped it: a rule, or without one the policy of a chain. */
export interface Candidate {
  hook: Hook | 'ingress' | 'egress' | 'bridge';
  chain: Chain;
  rule: Rule | null;
}

export interface Rules {
  chains: readonly Chain[];
  chain(like: Chain, called: string): Chain | undefined;
  rules(chain: Chain): readonly Rule[];
  keyBytes(of: Chain, set: string): number;
  element(of: Chain, set: string, key: Buffer): Element | null;
}

/** There are more rules than anybody looks through for one segment. */
export class TooMany extends Error {}

const MAX_RULES = 10_000;
/** As deep as the kernel follows jumps. */
const MAX_DEPTH = 16;

/** Rules and policies that may have dropped the segment, as far as can be told; all of them. */
export function droppers(rules: Rules, segment: Segment): Candidate[] {
  return new Walk(rules, segment).all();
}

/** Of NFPROTO_*. */
const [INET, IPV4, NETDEV, BRIDGE, IPV6] = [1, 2, 5, 7, 10];
const HOOKS: readonly Hook[] = ['prerouting', 'input', 'forward', 'output', 'postrouting'];
const INET_INGRESS = 5;
const REGISTERS = 24;

/** Of a rule or chain that the segment has come to. */
type Outcome = 'dropped' | 'accepted' | 'goes on';
/** Null: not known. */
type Known = boolean | null;

class Walk {
  readonly #rules: Rules;
  readonly #segment: Segment;
  readonly #found: Candidate[] = [];
  readonly #registers = Buffer.alloc(4 * REGISTERS);
  readonly #known = new Uint8Array(4 * REGISTERS);
  readonly #headers: ReadonlyMap<number, Header>;
  #hook: Candidate['hook'] = 'prerouting';
  #left = MAX_RULES;
  /** What is left is not seen: it was dropped for sure. */
  #dropped = false;

  constructor(rules: Rules, segment: Segment) {
    this.#rules = rules;
    this.#segment = segment;
    this.#headers = new Map([
      [BASE.NETWORK, networkHeader(segment)],
      [BASE.TRANSPORT, transportHeader(segment)],
    ]);
  }

  all(): Candidate[] {
    for (const { hook, chains } of this.#places()) {
      this.#hook = hook;
      this.#dropped = false;
      let at = Number.NEGATIVE_INFINITY;
      for (const chain of chains) {
        // Which of two of the same priority comes first is not told.
        const priority = chain.base?.priority ?? 0;
        if (this.#dropped && priority > at) break;
        at = priority;
        this.#base(chain);
      }
    }
    return this.#found;
  }

  #places(): { hook: Candidate['hook']; chains: Chain[] }[] {
    const own = this.#segment.family === 4 ? IPV4 : IPV6;
    const base = (is: (hook: number, chain: Chain) => boolean) =>
      this.#rules.chains
        .filter((chain) => chain.base && is(chain.base.hook, chain) && this.#sees(chain))
        .sort((a, b) => (a.base?.priority ?? 0) - (b.base?.priority ?? 0));
    const devices = [this.#segment.arrived_on?.name, this.#segment.leaves_by?.name];
    const atDevice = ({ base: at }: Chain) =>
      devices.some((name) => name === null || (name && at?.devices.includes(name)));
    return [
      {
        hook: 'ingress',
        chains: base(
          (hook, chain) =>
            (chain.family === NETDEV
              ? hook === 0
              : chain.family === INET && hook === INET_INGRESS) && atDevice(chain),
        ),
      },
      { hook: 'bridge', chains: base((_, { family }) => family === BRIDGE) },
      ...this.#segment.hooks.map((hook) => ({
        hook,
        chains: base((at, { family }) => (family === own || family === INET) && HOOKS[at] === hook),
      })),
      {
        hook: 'egress',
        chains: base((hook, chain) => chain.family === NETDEV && hook === 1 && atDevice(chain)),
      },
    ];
  }

  /** Rules that translate see new connections only. */
  #sees({ base }: Chain): boolean {
    const info = this.#segment.conntrack?.info;
    return base?.type !== 'nat' || info === undefined || info === NEW || info % 3 === RELATED;
  }

  #base(chain: Chain): void {
    const sure = { is: true };
    if (this.#chain(chain, true, 0, sure) !== 'goes on') return;
    if (chain.base?.drops) this.#drops(chain, null, sure.is);
  }

  #drops(chain: Chain, rule: Rule | null, sure: boolean): void {
    const known = this.#found.some(
      (one) => one.chain === chain && one.rule === rule && one.hook === this.#hook,
    );
    if (!known) this.#found.push({ hook: this.#hook, chain, rule });
    if (sure) this.#dropped = true;
  }

  /** `passed.is` becomes false where the segment may have been accepted before the chain's end. */
  #chain(chain: Chain, sure: boolean, depth: number, passed: { is: boolean }): Outcome {
    if (depth > MAX_DEPTH) return 'goes on';
    for (const rule of this.#rules.rules(chain)) {
      if (--this.#left < 0) throw new TooMany();
      const { matches, verdict } = this.#match(chain, rule);
      if (matches === false || verdict === null) continue;
      const surely = sure && matches === true && passed.is;
      const outcome = this.#obey(chain, rule, verdict, surely, depth, passed);
      if (outcome === 'goes on') continue;
      if (matches === true) return outcome === 'returns' ? 'goes on' : outcome;
      if (outcome !== 'dropped') passed.is = false;
    }
    return 'goes on';
  }

  #obey(
    chain: Chain,
    rule: Rule,
    verdict: Taken,
    sure: boolean,
    depth: number,
    passed: { is: boolean },
  ): Outcome | 'returns' {
    if (verdict === 'unknown' || verdict === 'may drop') {
      this.#drops(chain, rule, false);
      passed.is = false;
      return verdict === 'unknown' ? 'goes on' : 'accepted';
    }
    switch (verdict.code) {
      case VERDICT.DROP:
        this.#drops(chain, rule, sure);
        return 'dropped';
      case VERDICT.CONTINUE:
      case VERDICT.BREAK:
        return 'goes on';
      case VERDICT.RETURN:
        return 'returns';
      case VERDICT.JUMP:
      case VERDICT.GOTO: {
        const target = this.#rules.chain(chain, verdict.chain);
        if (!target) return 'goes on';
        const inside = { is: true };
        const outcome = this.#chain(target, sure, depth + 1, inside);
        if (!inside.is) passed.is = false;
        if (outcome !== 'goes on') return outcome;
        return verdict.code === VERDICT.GOTO ? 'returns' : 'goes on';
      }
      default:
        return 'accepted';
    }
  }

  /** Whether the segment comes to the rule's verdict; null where it may. */
  #match(chain: Chain, rule: Rule): { matches: Known; verdict: Taken | null } {
    let matches: Known = true;
    for (let at = 0, op = rule.op(at); op; op = rule.op(++at)) {
      const next = this.#step(chain, op);
      if (next === false) return { matches: false, verdict: null };
      if (next === null) matches = null;
      else if (next !== true) return { matches, verdict: next };
    }
    return { matches, verdict: null };
  }

  /** Whether the rule goes on, null where it may; or its verdict. */
  #step(chain: Chain, op: Op): Known | Taken {
    switch (op.kind) {
      case 'payload':
        this.#load(op.to, op.bytes, this.#headers.get(op.base), op.offset);
        return true;
      case 'meta':
        this.#loadMeta(op.to, op.key);
        return true;
      case 'ct':
        return this.#loadCt(op.to, op.key);
      case 'unknown':
        if (op.to === ALL_REGISTERS) this.#known.fill(0);
        else this.#known.fill(0, 4 * op.to, 4 * op.to + 16);
        return true;
      case 'value':
        this.#store(op.to, op.data);
        return true;
      case 'cmp':
        return this.#compare(op.from, op.op, op.data);
      case 'range': {
        const least = this.#compare(op.from, GREATER_OR_EQUAL, op.low);
        const most = this.#compare(op.from, LESS_OR_EQUAL, op.high);
        const inside = least === false || most === false ? false : least && most;
        return inside === null ? null : inside !== op.outside;
      }
      case 'bitwise':
        for (let i = 0; i < op.mask.length; i++) {
          const [from, to] = [4 * op.from + i, 4 * op.to + i];
          const mask = op.mask[i] ?? 0;
          this.#registers[to] = ((this.#registers[from] ?? 0) & mask) ^ (op.xor[i] ?? 0);
          this.#known[to] = mask === 0 ? 1 : (this.#known[from] ?? 0);
        }
        return true;
      case 'lookup':
        return this.#lookUp(chain, op);
      case 'test': {
        const { flags, sport, dport } = this.#segment;
        return op.test({ flags, sport, dport, state: this.#state() });
      }
      case 'maybe':
        return null;
      case 'pass':
      case 'counter':
        return true;
      case 'verdict':
        return op.verdict;
      case 'reject':
        return { code: VERDICT.DROP, chain: '' };
      case 'end':
        return op.drops ? 'may drop' : { code: VERDICT.ACCEPT, chain: '' };
    }
  }

  #store(to: number, value: Uint8Array): void {
    this.#registers.set(value, 4 * to);
    this.#known.fill(1, 4 * to, 4 * to + value.length);
    // Words are filled up with zeros.
    const end = 4 * Math.ceil((4 * to + value.length) / 4);
    this.#registers.fill(0, 4 * to + value.length, end);
    this.#known.fill(1, 4 * to + value.length, end);
  }

  #load(to: number, bytes: number, header: Header | undefined, offset: number): void {
    this.#store(to, NOTHING.subarray(0, bytes));
    for (let i = 0; i < bytes; i++) {
      const at = offset + i;
      this.#registers[4 * to + i] = header?.bytes[at] ?? 0;
      this.#known[4 * to + i] = header?.known[at] ?? 0;
    }
  }

  #loadMeta(to: number, key: number): void {
    const { family, arrived_on, leaves_by } = this.#segment;
    const value = (): Uint8Array | null => {
      switch (key) {
        case META.PROTOCOL:
          return family === 4 ? Buffer.from([0x08, 0]) : Buffer.from([0x86, 0xdd]);
        case META.NFPROTO:
          return Buffer.from([family === 4 ? IPV4 : IPV6]);
        case META.L4PROTO:
          return Buffer.from([IPPROTO_TCP]);
        case META.IIF:
          return arrived_on && native(arrived_on.ifindex);
        case META.OIF:
          return leaves_by && native(leaves_by.ifindex);
        case META.IIFNAME:
          return arrived_on && deviceBytes(arrived_on.name);
        case META.OIFNAME:
          return leaves_by && deviceBytes(leaves_by.name);
        default:
          return null;
      }
    };
    const known = value();
    if (known) this.#store(to, known);
    else this.#known.fill(0, 4 * to, 4 * to + 16);
  }

  /** False where the kernel knows no connection, and the rule ends. */
  #loadCt(to: number, key: number): Known {
    const { conntrack } = this.#segment;
    const state = this.#state();
    this.#known.fill(0, 4 * to, 4 * to + 16);
    if (key === CT.STATE) {
      if (state !== null) this.#store(to, native(state));
      return true;
    }
    if (!conntrack) return null;
    if (conntrack.info >= UNTRACKED) return false;
    if (key === CT.DIRECTION) this.#store(to, Buffer.from([Number(conntrack.info >= REPLY)]));
    if (key === CT.STATUS) this.#store(to, native(conntrack.status));
    return true;
  }

  /** As `ct state` has it. */
  #state(): number | null {
    const info = this.#segment.conntrack?.info;
    if (info === undefined) return null;
    if (info > UNTRACKED) return STATE_INVALID;
    return info === UNTRACKED ? STATE_UNTRACKED : 1 << ((info % REPLY) + 1);
  }

  #isKnown(from: number, bytes: number): boolean {
    for (let i = 4 * from; i < 4 * from + bytes; i++) if (this.#known[i] !== 1) return false;
    return true;
  }

  #compare(from: number, op: number, data: Buffer): Known {
    if (!this.#isKnown(from, data.length)) {
      if (op > 1) return null;
      const differs = data.some(
        (byte, i) => this.#known[4 * from + i] === 1 && this.#registers[4 * from + i] !== byte,
      );
      return differs ? op === 1 : null;
    }
    const order = this.#registers.compare(data, 0, data.length, 4 * from, 4 * from + data.length);
    return COMPARE[op]?.(order) ?? null;
  }

  #lookUp(chain: Chain, op: Extract<Op, { kind: 'lookup' }>): Known | Taken {
    const bytes = this.#rules.keyBytes(chain, op.set);
    const at = 4 * op.from;
    if (bytes === 0 || !this.#isKnown(op.from, bytes)) {
      if (op.to === 0) return 'unknown';
      if (op.to !== null) this.#known.fill(0, 4 * op.to, 4 * op.to + 16);
      return null;
    }
    const key = Buffer.from(this.#registers.subarray(at, at + bytes));
    const element = this.#rules.element(chain, op.set, key);
    if (op.to === null) return (element !== null) !== op.inverted;
    if (!element) return false;
    if (op.to === 0) return element.verdict ?? 'unknown';
    if (element.data) this.#store(op.to, element.data);
    else this.#known.fill(0, 4 * op.to, 4 * op.to + 16);
    return true;
  }
}

/** A verdict, one that nobody knows, or that of a target which may drop. */
type Taken = Verdict | 'unknown' | 'may drop';

const NOTHING = Buffer.alloc(64);
const IPPROTO_TCP = 6;
const [NEW, RELATED, REPLY, UNTRACKED] = [2, 1, 3, 7];
const STATE_INVALID = 1;
const STATE_UNTRACKED = 64;
const META = { PROTOCOL: 1, IIF: 4, OIF: 5, IIFNAME: 6, OIFNAME: 7, NFPROTO: 15, L4PROTO: 16 };
const CT = { STATE: 0, DIRECTION: 1, STATUS: 2 };

const LESS_OR_EQUAL = 3;
const GREATER_OR_EQUAL = 5;
/** By enum nft_cmp_ops. */
const COMPARE: readonly ((order: number) => boolean)[] = [
  (order) => order === 0,
  (order) => order !== 0,
  (order) => order < 0,
  (order) => order <= 0,
  (order) => order > 0,
  (order) => order >= 0,
];

interface Header {
  bytes: Uint8Array;
  /** 1 where the byte is known. */
  known: Uint8Array;
}

function header(length: number, fields: readonly [at: number, value: Uint8Array][]): Header {
  const made = { bytes: new Uint8Array(length), known: new Uint8Array(length) };
  for (const [at, value] of fields) {
    made.bytes.set(value, at);
    made.known.fill(1, at, at + value.length);
  }
  return made;
}

function networkHeader({ family, saddr, daddr, ttl }: Segment): Header {
  const byte = (value: number) => Uint8Array.of(value);
  return family === 4
    ? header(20, [
        [8, byte(ttl)],
        [9, byte(IPPROTO_TCP)],
        [12, saddr],
        [16, daddr],
      ])
    : header(40, [
        // TCP without other headers before it, as nearly all of it comes.
        [6, byte(IPPROTO_TCP)],
        [7, byte(ttl)],
        [8, saddr],
        [24, daddr],
      ]);
}

function transportHeader({ sport, dport, seq, ack_seq, flags, window }: Segment): Header {
  const known = Buffer.alloc(16);
  known.writeUInt16BE(sport, 0);
  known.writeUInt16BE(dport, 2);
  known.writeUInt32BE(seq >>> 0, 4);
  known.writeUInt32BE(ack_seq >>> 0, 8);
  known[13] = flags;
  known.writeUInt16BE(window, 14);
  return header(20, [
    [0, known.subarray(0, 12)],
    [13, known.subarray(13)],
  ]);
}

/** Of this machine's byte order, which is little-endian where tcpwhy runs. */
function native(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

function deviceBytes(name: string | null): Buffer | null {
  if (name === null) return null;
  const bytes = Buffer.alloc(16);
  bytes.write(name);
  return bytes;
}
