// SPDX-License-Identifier: Apache-2.0

import { addressBytes, addressText, familyOf, IPV4_AT } from '../tcp/address.ts';
import { endpoint } from '../tcp/endpoint.ts';
import type { Flow } from '../wire/types.gen.ts';
import { type Attributes, attributes, listed, type Message, request, text } from './netlink.ts';

/** NETLINK_NETFILTER. */
export const NETFILTER = 12;
const NFTABLES = 10 << 8;
const NEW = { chain: NFTABLES | 3, rule: NFTABLES | 6, elements: NFTABLES | 12 };
const GET = { chain: NFTABLES | 4, rule: NFTABLES | 7, elements: NFTABLES | 13 };
/** struct nfgenmsg. */
const NFGEN = 4;

const NFPROTO = { inet: 1, ip: 2, ip6: 10 } as const;

export const HOOK = { prerouting: 0, output: 3 } as const;

const VERDICT = { drop: 0, accept: 1, jump: -3, goto: -4, return: -5 } as const;

/** Of registers: four of 16 bytes, which are sixteen of 4. */
const REGISTER_BYTES = 64;

/** As deep as the kernel lets chains lead to others. */
const MOST_JUMPS = 16;

const INTERVAL_END = 1;
const CATCHALL = 2;

/** What is asked for everything there is. */
export const REQUESTS = [GET.chain, GET.rule].map((type) => request(type, Buffer.alloc(NFGEN)));

interface Chain {
  family: number;
  table: string;
  name: string;
  /** Null: only others lead to it. */
  base: { hook: number; priority: number } | null;
  rules: Expression[][];
}

interface Expression {
  name: string;
  told: Attributes;
}

interface Element {
  /** Empty: it stands for whatever no other one does. */
  key: Buffer;
  /** The key is where several ranges begin that end here. */
  ends_at: boolean;
  flags: number;
  data: Attributes;
}

/** Three answers: what cannot be known may be either. */
type Answer = 'yes' | 'no' | 'maybe';

/** Where a chain may send a connection; `null`: anywhere. */
interface Outcome {
  ends: Set<string | null>;
  /** Whether it may leave it to what comes after, in the chain that led to it. */
  passes: boolean;
  /** Whether a rule may do that, before the chain's end. */
  returns: boolean;
  /** Whether it may be accepted as it is. */
  accepts: boolean;
}

/** Rules of nftables, those that iptables-nft wrote among them. */
export class NatRules {
  readonly #chains = new Map<string, Chain>();
  readonly #sets: ReadonlyMap<string, readonly Element[]>;

  /** `answers` are those to REQUESTS; `askElements` gets the answer to a request for those of a set. */
  constructor(answers: readonly Message[], askElements: (asked: Buffer) => readonly Message[]) {
    const names = new Set<string>();
    for (const message of answers) {
      if (message.type === NEW.chain) this.#addChain(message);
      if (message.type === NEW.rule) this.#addRule(message, names);
    }
    this.#sets = new Map([...names].map((id) => [id, elementsOf(id, askElements)]));
  }

  /** Every end that a new connection may be sent to, as text; empty where that cannot be known. */
  ends(hook: number, flow: Flow): string[] {
    const ends = new Set<string | null>();
    const family = familyOf(flow.daddr) === 6 ? NFPROTO.ip6 : NFPROTO.ip;
    const bases = [...this.#chains.values()]
      .filter(
        (chain) =>
          chain.base?.hook === hook && (chain.family === family || chain.family === NFPROTO.inet),
      )
      .sort((a, b) => (a.base?.priority ?? 0) - (b.base?.priority ?? 0));
    const packet = new Packet(family, flow);
    let passes = true;
    for (const chain of bases) {
      const outcome = this.#through(chain, packet, 0);
      for (const end of outcome.ends) ends.add(end);
      passes = outcome.passes || outcome.accepts;
      if (!passes) break;
    }
    if (passes) ends.add(endpoint(flow.daddr, flow.dport));
    return ends.has(null) ? [] : [...ends].map(String);
  }

  #addChain({ body }: Message): void {
    const told = attributes(body, NFGEN);
    const hook = attributes(told.get(4));
    const isBase = told.has(4) && text(told.get(7)) === 'nat';
    // A chain of another type has no part in it.
    if (told.has(4) && !isBase) return;
    const chain: Chain = {
      family: body.readUInt8(0),
      table: text(told.get(1)),
      name: text(told.get(3)),
      base: isBase ? { hook: big(hook.get(1)), priority: big(hook.get(2)) | 0 } : null,
      rules: [],
    };
    this.#chains.set(idOf(chain.family, chain.table, chain.name), chain);
  }

  #addRule({ body }: Message, sets: Set<string>): void {
    const told = attributes(body, NFGEN);
    const family = body.readUInt8(0);
    const table = text(told.get(1));
    const chain = this.#chains.get(idOf(family, table, text(told.get(2))));
    if (!chain) return;
    const expressions = listed(told.get(4)).map(([, element]) => {
      const one = attributes(element);
      return { name: text(one.get(1)), told: attributes(one.get(2)) };
    });
    for (const { name, told: data } of expressions)
      if (name === 'lookup') sets.add(idOf(family, table, text(data.get(1))));
    chain.rules.push(expressions);
  }

  #through(chain: Chain, packet: Packet, depth: number): Outcome {
    const outcome: Outcome = { ends: new Set(), passes: true, returns: false, accepts: false };
    if (depth > MOST_JUMPS) outcome.ends.add(null);
    else if (
      chain.rules.some((rule) => this.#follow(chain, rule, packet, depth, outcome) === 'left')
    ) {
      outcome.passes = outcome.returns;
    }
    return outcome;
  }

  /** What becomes of it at this rule, which adds to the outcome: for sure it has left the chain, or it may go on. */
  #follow(
    chain: Chain,
    rule: readonly Expression[],
    packet: Packet,
    depth: number,
    outcome: Outcome,
  ): 'left' | 'goes on' {
    const registers = new Registers();
    let sure = true;
    for (const { name, told } of rule) {
      const verdict = verdictOf(name, told) ?? this.#mapped(chain, name, told, registers);
      if (verdict)
        return this.#decide(chain, verdict, packet, depth, outcome) && sure ? 'left' : 'goes on';
      const end = translation(name, told, registers, packet);
      if (end !== undefined) {
        outcome.ends.add(end);
        return sure ? 'left' : 'goes on';
      }
      const answer = this.#matches(chain, name, told, registers, packet);
      if (answer === 'no') return 'goes on';
      if (answer === 'maybe') sure = false;
    }
    return 'goes on';
  }

  /** Whether no other rule of the chain is asked. */
  #decide(
    chain: Chain,
    { code, to }: Verdict,
    packet: Packet,
    depth: number,
    outcome: Outcome,
  ): boolean {
    switch (code) {
      case VERDICT.drop:
        return true;
      case VERDICT.accept:
        outcome.accepts = true;
        return true;
      case VERDICT.jump:
      case VERDICT.goto: {
        const next = this.#chains.get(idOf(chain.family, chain.table, to));
        if (!next) return false;
        const there = this.#through(next, packet, depth + 1);
        for (const end of there.ends) outcome.ends.add(end);
        outcome.accepts ||= there.accepts;
        // What goes to a chain does not come back to this one.
        if (code === VERDICT.goto && there.passes) outcome.returns = true;
        return code === VERDICT.goto || !there.passes;
      }
      case VERDICT.return:
        outcome.returns = true;
        return true;
      default:
        outcome.ends.add(null);
        return false;
    }
  }

  /** A verdict that a map has for what is in a register. */
  #mapped(chain: Chain, name: string, told: Attributes, registers: Registers): Verdict | null {
    if (name !== 'lookup' || !told.has(3) || big(told.get(3)) !== 0) return null;
    const found = this.#found(chain, told, registers);
    if (found === null) return { code: ANY_VERDICT, to: '' };
    if (found === 'none') return null;
    return verdictIn(attributes(found.data.get(2)));
  }

  /** The element for what is in a register; null: not known. */
  #found(chain: Chain, told: Attributes, registers: Registers): Element | 'none' | null {
    const elements = this.#sets.get(idOf(chain.family, chain.table, text(told.get(1))));
    const sample = elements?.find(({ key }) => key.length > 0);
    if (!elements || (!sample && elements.length > 0)) return null;
    if (!sample) return 'none';
    const key = registers.read(big(told.get(2)), sample.key.length);
    if (!key || elements.some(({ ends_at }) => ends_at)) return null;
    // What an interval ends at is an element too.
    const intervals = elements.some(({ flags }) => flags & INTERVAL_END);
    const below = elements
      .filter((one) => one.key.length > 0 && one.key.compare(key) <= 0)
      .reduce<Element | null>(
        (last, one) => (last && last.key.compare(one.key) > 0 ? last : one),
        null,
      );
    if (below && !(below.flags & INTERVAL_END) && (intervals || below.key.equals(key)))
      return below;
    return elements.find(({ flags }) => flags & CATCHALL) ?? 'none';
  }

  #matches(
    chain: Chain,
    name: string,
    told: Attributes,
    registers: Registers,
    packet: Packet,
  ): Answer {
    switch (name) {
      case 'payload':
        if (told.has(1))
          registers.write(
            big(told.get(1)),
            packet.bytes(big(told.get(2)), big(told.get(3)), big(told.get(4))),
            big(told.get(4)),
          );
        return 'yes';
      case 'meta':
        if (told.has(1)) registers.write(big(told.get(1)), packet.meta(big(told.get(2))), 16);
        return 'yes';
      case 'immediate':
        registers.write(big(told.get(1)), dataOf(told.get(2)), 16);
        return 'yes';
      case 'bitwise':
        return bitwise(told, registers);
      case 'cmp':
        return compare(told, registers);
      case 'range':
        return within(told, registers);
      case 'lookup': {
        const found = this.#found(chain, told, registers);
        if (told.has(3) && big(told.get(3)) !== 0) {
          const data = found && found !== 'none' ? dataOf(found.data.get(2)) : null;
          registers.write(big(told.get(3)), data, 16);
        }
        if (found === null) return 'maybe';
        return (found === 'none') === ((big(told.get(5)) & 1) === 1) ? 'yes' : 'no';
      }
      case 'match':
        return extension(told, packet);
      case 'counter':
      case 'log':
      case 'objref':
      case 'target':
        return 'yes';
      case 'fib':
      case 'ct':
      case 'rt':
      case 'numgen':
      case 'hash':
        registers.write(big(told.get(1)), null, 16);
        return 'yes';
      default:
        return 'maybe';
    }
  }
}

interface Verdict {
  code: number;
  /** The chain of a jump or goto. */
  to: string;
}

/** None that the kernel has. */
const ANY_VERDICT = 0x7fff;

function verdictOf(name: string, told: Attributes): Verdict | null {
  if (name !== 'immediate' || big(told.get(1)) !== 0) return null;
  return verdictIn(attributes(told.get(2)));
}

function verdictIn(data: Attributes): Verdict | null {
  const verdict = attributes(data.get(2));
  const code = big(verdict.get(1)) | 0;
  return verdict.has(1) && code !== -1 && code !== -2 ? { code, to: text(verdict.get(2)) } : null;
}

const dataOf = (data: Buffer | undefined) => attributes(data).get(1) ?? null;

/** The end that the statement sends a connection to, null where it may be any; undefined: it does not. */
function translation(
  name: string,
  told: Attributes,
  registers: Registers,
  packet: Packet,
): string | null | undefined {
  switch (name) {
    case 'redir':
      return end(null, told.has(1) ? registers.number(told, 1, 2, 2) : packet.flow.dport);
    case 'nat': {
      if (big(told.get(1)) !== TO_DESTINATION) return undefined;
      const address = told.has(3) ? registers.one(told, 3, 4, packet.width) : packet.daddr;
      return end(address, told.has(5) ? registers.number(told, 5, 6, 2) : packet.flow.dport);
    }
    case 'tproxy':
      return null;
    case 'target':
      return extensionTarget(told);
    default:
      return undefined;
  }

  function end(address: Uint8Array | null, port: number | null): string | null {
    if (port === null) return null;
    if (name === 'redir') return endpoint(packet.any, port);
    return address && endpoint(addressOf(address), port);
  }

  function extensionTarget(target: Attributes): string | null | undefined {
    const kind = text(target.get(1));
    const info = target.get(3);
    if (kind !== 'DNAT' && kind !== 'REDIRECT') return HARMLESS.has(kind) ? undefined : null;
    const range = info && rangeOf(info, big(target.get(2)), kind, packet.width);
    if (!range) return null;
    const port = range.port === 0 ? packet.flow.dport : range.port;
    return kind === 'REDIRECT'
      ? endpoint(packet.any, port)
      : endpoint(addressOf(range.address ?? packet.daddr), port);
  }
}

const TO_DESTINATION = 1;

/** Targets of iptables that send nothing elsewhere. */
const HARMLESS = new Set(['MARK', 'CONNMARK', 'LOG', 'NFLOG', 'TRACE', 'CT', 'TCPMSS']);

const MAP_ADDRESSES = 1;
const PORTS = 2;

/** struct nf_nat_range2, or in the first version for IPv4 struct nf_nat_ipv4_multi_range_compat: null where it is a range. */
function rangeOf(
  info: Buffer,
  revision: number,
  kind: string,
  width: number,
): { address: Buffer | null; port: number } | null {
  const old = width === 4 && (kind === 'REDIRECT' || revision === 0);
  if (info.length < (old ? 20 : 40)) return null;
  const flags = info.readUInt32LE(old ? 4 : 0);
  const [from, to, port] = old ? [8, 12, 16] : [4, 20, 36];
  const address = info.subarray(from, from + width);
  if (flags & ~(MAP_ADDRESSES | PORTS)) return null;
  if (flags & MAP_ADDRESSES && !address.equals(info.subarray(to, to + width))) return null;
  const [first, last] = [info.readUInt16BE(port), info.readUInt16BE(port + 2)];
  if (flags & PORTS && first !== last) return null;
  return { address: flags & MAP_ADDRESSES ? address : null, port: flags & PORTS ? first : 0 };
}

/** Matches of iptables. */
function extension(told: Attributes, { flow }: Packet): Answer {
  const info = told.get(3);
  switch (text(told.get(1))) {
    case 'comment':
      return 'yes';
    case 'tcp': {
      if (!info || info.length < 12 || info.readUInt8(9) !== 0) return 'maybe';
      const inverted = info.readUInt8(11);
      const inside = (port: number, at: number) =>
        port >= info.readUInt16LE(at) && port <= info.readUInt16LE(at + 2);
      const fits =
        inside(flow.sport, 0) !== ((inverted & 1) !== 0) &&
        inside(flow.dport, 4) !== ((inverted & 2) !== 0);
      return fits ? 'yes' : 'no';
    }
    default:
      return 'maybe';
  }
}

/** Registers as far as it is known what is in them. */
class Registers {
  readonly #bytes: (number | null)[] = Array(REGISTER_BYTES).fill(null);

  /** The rest of its last four bytes is zero. */
  write(register: number, value: Uint8Array | null, length: number): void {
    const at = placeOf(register);
    const padded = (value?.length ?? length) + (-(value?.length ?? length) & 3);
    for (let i = 0; i < padded && at + i < REGISTER_BYTES; i++)
      this.#bytes[at + i] = value ? (value[i] ?? 0) : null;
  }

  read(register: number, length: number): Buffer | null {
    const at = placeOf(register);
    const bytes = this.#bytes.slice(at, at + length);
    const known = bytes.filter((byte) => byte !== null);
    return known.length === length ? Buffer.from(known) : null;
  }

  /** Of two registers that bound a range; null where it has more than one value. */
  one(told: Attributes, first: number, last: number, length: number): Buffer | null {
    const from = this.read(big(told.get(first)), length);
    const to = told.has(last) ? this.read(big(told.get(last)), length) : from;
    return from && to?.equals(from) ? from : null;
  }

  number(told: Attributes, first: number, last: number, length: number): number | null {
    return this.one(told, first, last, length)?.readUIntBE(0, length) ?? null;
  }
}

const placeOf = (register: number) =>
  register < FIRST_NARROW ? (register - 1) * 16 : (register - FIRST_NARROW) * 4;
const FIRST_NARROW = 8;

const META = { iifname: 6, nfproto: 15, l4proto: 16 } as const;
const BASE = { network: 1, transport: 2 } as const;
const TCP = 6;

/** The first segment of a connection, as far as rules can ask about it. */
class Packet {
  readonly flow: Flow;
  readonly width: number;
  readonly daddr: Buffer;
  /** Whatever address this host has. */
  readonly any: string;
  readonly #family: number;
  readonly #network: (number | null)[];
  readonly #transport: (number | null)[];

  constructor(family: number, flow: Flow) {
    this.flow = flow;
    this.#family = family;
    const ipv6 = family === NFPROTO.ip6;
    this.width = ipv6 ? 16 : 4;
    this.any = ipv6 ? '::' : '0.0.0.0';
    this.daddr = this.#address(flow.daddr);
    const [size, protocol, saddr, daddr] = ipv6 ? [40, 6, 8, 24] : [20, 9, 12, 16];
    this.#network = Array(size).fill(null);
    this.#network[protocol] = TCP;
    this.#network.splice(saddr, this.width, ...this.#address(flow.saddr));
    this.#network.splice(daddr, this.width, ...this.daddr);
    this.#transport = [flow.sport >> 8, flow.sport & 0xff, flow.dport >> 8, flow.dport & 0xff];
  }

  #address(address: string): Buffer {
    const bytes = Buffer.from(addressBytes(address));
    return this.width === 4 ? bytes.subarray(IPV4_AT) : bytes;
  }

  /** Null where not all of them are known. */
  bytes(base: number, offset: number, length: number): Uint8Array | null {
    const header =
      base === BASE.network ? this.#network : base === BASE.transport ? this.#transport : [];
    const known = header.slice(offset, offset + length).filter((byte) => byte !== null);
    return known.length === length && length > 0 ? Uint8Array.from(known) : null;
  }

  meta(key: number): Uint8Array | null {
    if (key === META.l4proto) return Uint8Array.of(TCP);
    return key === META.nfproto ? Uint8Array.of(this.#family) : null;
  }
}

function bitwise(told: Attributes, registers: Registers): Answer {
  const length = big(told.get(3));
  const from = registers.read(big(told.get(1)), length);
  const mask = dataOf(told.get(4));
  const flip = dataOf(told.get(5));
  const result =
    from && mask && flip && big(told.get(6)) === 0
      ? from.map((byte, i) => (byte & (mask[i] ?? 0)) ^ (flip[i] ?? 0))
      : null;
  registers.write(big(told.get(2)), result, length);
  return 'yes';
}

/** By enum nft_cmp_ops. */
const COMPARES: readonly ((order: number) => boolean)[] = [
  (order) => order === 0,
  (order) => order !== 0,
  (order) => order < 0,
  (order) => order <= 0,
  (order) => order > 0,
  (order) => order >= 0,
];

function compare(told: Attributes, registers: Registers): Answer {
  const wanted = dataOf(told.get(3));
  const is = wanted && registers.read(big(told.get(1)), wanted.length);
  const holds = COMPARES[big(told.get(2))];
  if (!is || !holds) return 'maybe';
  return holds(is.compare(wanted)) ? 'yes' : 'no';
}

function within(told: Attributes, registers: Registers): Answer {
  const [from, to] = [dataOf(told.get(3)), dataOf(told.get(4))];
  const is = from && registers.read(big(told.get(1)), from.length);
  if (!is || !to) return 'maybe';
  const inside = is.compare(from) >= 0 && is.compare(to) <= 0;
  return inside === (big(told.get(2)) === 0) ? 'yes' : 'no';
}

function elementsOf(id: string, ask: (asked: Buffer) => readonly Message[]): Element[] {
  const [family = '', table = '', set = ''] = id.split(' ');
  const body = Buffer.concat([
    Buffer.from([Number(family), 0, 0, 0]),
    textAttribute(1, table),
    textAttribute(2, set),
  ]);
  return ask(request(GET.elements, body))
    .filter(({ type }) => type === NEW.elements)
    .flatMap((message) => listed(attributes(message.body, NFGEN).get(3)))
    .map(([, element]) => {
      const told = attributes(element);
      return {
        key: dataOf(told.get(1)) ?? Buffer.alloc(0),
        ends_at: told.has(10),
        flags: big(told.get(3)),
        data: told,
      };
    });
}

function textAttribute(type: number, value: string): Buffer {
  const bytes = Buffer.from(`${value}\0`);
  const attribute = Buffer.alloc(4 + ((bytes.length + 3) & ~3));
  attribute.writeUInt16LE(4 + bytes.length, 0);
  attribute.writeUInt16LE(type, 2);
  attribute.set(bytes, 4);
  return attribute;
}

const idOf = (family: number, table: string, name: string) => `${family} ${table} ${name}`;

/** nf_tables numbers are of the network's byte order. */
const big = (value: Buffer | undefined) => (value && value.length >= 4 ? value.readUInt32BE(0) : 0);

const addressOf = (bytes: Uint8Array) =>
  addressText(bytes.length === 4 ? Buffer.concat([MAPPED, bytes]) : bytes);
const MAPPED = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
