// SPDX-License-Identifier: Apache-2.0

import {
  ALL_REGISTERS,
  BASE,
  type End,
  type Given,
  type HOOKS,
  NFPROTO,
  type Op,
  VERDICT,
  type Verdict,
} from './op.ts';
import type { Rule } from './rule.ts';
import type { Chain, Element, Keys } from './ruleset.ts';

export type Hook = (typeof HOOKS)[number];

/** A TCP segment where netfilter dropped it. */
export interface Segment {
  family: 4 | 6;
  /** Of 4 or 16 bytes. */
  saddr: Uint8Array;
  daddr: Uint8Array;
  sport: number;
  dport: number;
  /** Null: not known. */
  flags: number | null;
  seq: number | null;
  ack_seq: number | null;
  window: number | null;
  ttl: number | null;
  /** Bytes of TCP's payload. */
  payload: number | null;
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

export interface Rules {
  chains: readonly Chain[];
  chain(like: Chain, called: string): Chain | undefined;
  rules(chain: Chain): readonly Rule[];
  keysOf(of: Chain, set: string): Keys;
  element(of: Chain, set: string, key: Buffer): Element | null;
}

/** Null: not known. */
export type Known = boolean | null;

/** A verdict, one that nobody knows, or that of a target which may drop. */
export type Taken = Verdict | Sent | 'unknown' | 'may drop';

/** Accepted, and its destination translated; null: nobody knows to what. */
export interface Sent extends Verdict {
  sent_to: SentTo | null;
}

/** `own`: what it was; `here`: whatever address this host has. */
export interface SentTo {
  address: Buffer | 'own' | 'here';
  port: number | 'own';
}

/** There are more rules than anybody looks through for one segment. */
export class TooMany extends Error {}

const MAX_RULES = 10_000;
const REGISTERS = 24;

/** Of tables for its family alone. */
export function protocolOf({ family }: Segment): number {
  return family === 4 ? NFPROTO.IPV4 : NFPROTO.IPV6;
}

/** Asks of one segment whether rules meet it, as far as can be told. */
export class Matcher {
  readonly #rules: Rules;
  readonly #segment: Segment;
  readonly #registers = Buffer.alloc(4 * REGISTERS);
  readonly #known = new Uint8Array(4 * REGISTERS);
  readonly #headers: ReadonlyMap<number, Header>;
  /** Between which lengths the packet is, and the register that has it: its bytes are not known. */
  #length: (Length & { at: number; swapped: boolean }) | null = null;
  #left = MAX_RULES;

  constructor(rules: Rules, segment: Segment) {
    this.#rules = rules;
    this.#segment = segment;
    this.#headers = new Map([
      [BASE.NETWORK, networkHeader(segment)],
      [BASE.TRANSPORT, transportHeader(segment)],
    ]);
  }

  /** Whether the segment comes to the rule's verdict; null where it may. */
  match(chain: Chain, rule: Rule): { matches: Known; verdict: Taken | null } {
    if (--this.#left < 0) throw new TooMany();
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
        // A device is given it with the link's header.
        if (op.key === META.LENGTH && chain.family !== NFPROTO.NETDEV) this.#loadLength(op.to);
        return true;
      case 'ct':
        return this.#loadCt(op.to, op.key);
      case 'unknown':
        this.#loadUnknown(op);
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
        const { sport, dport } = this.#segment;
        return op.test({ sport, dport, state: this.#state() });
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
        if (op.drops) return 'may drop';
        return { ...ACCEPTED, ...(op.sends !== undefined && { sent_to: this.#sent(op.sends) }) };
    }
  }

  #loadLength(at: number): void {
    const length = lengthOf(this.#segment);
    this.#length = length && { ...length, at, swapped: false };
  }

  #loadUnknown({ to, of, swapped }: Extract<Op, { kind: 'unknown' }>): void {
    const length = swapped && this.#length?.at === of ? this.#length : null;
    if (to === ALL_REGISTERS) this.#known.fill(0);
    else this.#known.fill(0, 4 * to, 4 * to + 16);
    if (length) this.#length = { ...length, at: to, swapped: !length.swapped };
    else if (to === ALL_REGISTERS || this.#length?.at === to) this.#length = null;
  }

  #store(to: number, value: Uint8Array): void {
    if (this.#length?.at === to) this.#length = null;
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
          return Buffer.from([protocolOf(this.#segment)]);
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

  #sent(end: End | 'anywhere'): SentTo | null {
    if (end === 'anywhere') return null;
    const address = this.#given(end.address, this.#segment.daddr.length);
    const port = this.#given(end.port, 2);
    if (address === null || port === null) return null;
    return { address, port: port === 'own' ? port : port.readUInt16BE(0) };
  }

  /** Null where it is not known, or one of several. */
  #given<Word extends string>(given: Given | Word, bytes: number): Buffer | Word | null {
    if (typeof given === 'string' || given instanceof Uint8Array) return given;
    const read = (from: number) =>
      this.#isKnown(from, bytes)
        ? Buffer.from(this.#registers.subarray(4 * from, 4 * from + bytes))
        : null;
    const [first, last] = [read(given.from), read(given.to ?? given.from)];
    return first && last?.equals(first) ? first : null;
  }

  #isKnown(from: number, bytes: number): boolean {
    for (let i = 4 * from; i < 4 * from + bytes; i++) if (this.#known[i] !== 1) return false;
    return true;
  }

  #compare(from: number, op: number, data: Buffer): Known {
    if (!this.#isKnown(from, data.length)) {
      if (this.#length?.at === from && data.length === 4)
        return isOfLength(this.#length, op, readNative(data, this.#length.swapped));
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
    const { bytes, grows, expires } = this.#rules.keysOf(chain, op.set);
    const at = 4 * op.from;
    const element =
      bytes === 0 || grows || !this.#isKnown(op.from, bytes)
        ? undefined
        : this.#rules.element(chain, op.set, Buffer.from(this.#registers.subarray(at, at + bytes)));
    if (element === undefined || (element === null && expires)) {
      if (op.to === 0) return 'unknown';
      if (op.to !== null) this.#known.fill(0, 4 * op.to, 4 * op.to + 16);
      return null;
    }
    if (op.to === null) return (element !== null) !== op.inverted;
    if (!element) return false;
    if (op.to === 0) return element.verdict ?? 'unknown';
    if (element.data) this.#store(op.to, element.data);
    else this.#known.fill(0, 4 * op.to, 4 * op.to + 16);
    return true;
  }
}

const NOTHING = Buffer.alloc(64);
const ACCEPTED: Verdict = { code: VERDICT.ACCEPT, chain: '' };
const IPPROTO_TCP = 6;
const [REPLY, UNTRACKED] = [3, 7];
const STATE_INVALID = 1;
const STATE_UNTRACKED = 64;
const META = {
  LENGTH: 0,
  PROTOCOL: 1,
  IIF: 4,
  OIF: 5,
  IIFNAME: 6,
  OIFNAME: 7,
  NFPROTO: 15,
  L4PROTO: 16,
};
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

/** Of a packet with the headers of IP and TCP, in bytes. */
interface Length {
  least: number;
  most: number;
}

/** Of IPv6 without other headers, as nearly all of it comes. */
const HEADERS: Readonly<Record<4 | 6, Length>> = {
  4: { least: 40, most: 120 },
  6: { least: 60, most: 100 },
};

function lengthOf({ family, payload }: Segment): Length | null {
  const { least, most } = HEADERS[family];
  return payload === null ? null : { least: least + payload, most: most + payload };
}

function isOfLength({ least, most }: Length, op: number, length: number): Known {
  const compare = COMPARE[op];
  if (!compare) return null;
  const places = [least, most].map((one) => compare(Math.sign(one - length)));
  if (least < length && length < most) places.push(compare(0));
  return places.every((one) => one === places[0]) ? (places[0] ?? null) : null;
}

interface Header {
  bytes: Uint8Array;
  /** 1 where the byte is known. */
  known: Uint8Array;
}

/** Null: what is not known. */
type Field = readonly [at: number, value: Uint8Array | null];

function header(length: number, fields: readonly Field[]): Header {
  const made = { bytes: new Uint8Array(length), known: new Uint8Array(length) };
  for (const [at, value] of fields) {
    if (value === null) continue;
    made.bytes.set(value, at);
    made.known.fill(1, at, at + value.length);
  }
  return made;
}

/** Of the network's byte order. */
function big(value: number | null, bytes: number): Uint8Array | null {
  if (value === null) return null;
  const made = Buffer.alloc(bytes);
  made.writeUIntBE(value >>> 0, 0, bytes);
  return made;
}

function networkHeader({ family, saddr, daddr, ttl }: Segment): Header {
  return family === 4
    ? header(20, [
        [8, big(ttl, 1)],
        [9, big(IPPROTO_TCP, 1)],
        [12, saddr],
        [16, daddr],
      ])
    : header(40, [
        // TCP without other headers before it, as nearly all of it comes.
        [6, big(IPPROTO_TCP, 1)],
        [7, big(ttl, 1)],
        [8, saddr],
        [24, daddr],
      ]);
}

function transportHeader({ sport, dport, seq, ack_seq, flags, window }: Segment): Header {
  return header(20, [
    [0, big(sport, 2)],
    [2, big(dport, 2)],
    [4, big(seq, 4)],
    [8, big(ack_seq, 4)],
    [13, big(flags, 1)],
    [14, big(window, 2)],
  ]);
}

const readNative = (bytes: Buffer, isSwapped: boolean) =>
  isSwapped ? bytes.readUInt32BE(0) : bytes.readUInt32LE(0);

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
