// SPDX-License-Identifier: Apache-2.0

import { addressText } from '../../tcp/address.ts';
import { ALL_REGISTERS, BASE, type Op, VERDICT, type Verdict } from './op.ts';
import type { Rule } from './rule.ts';
import type { Member } from './ruleset.ts';

/** What is in a set that has no name; null: not known, or a lot. */
export type Members = (set: string) => Member[] | null;

/**
 * A rule as nft writes it, as far as it is known how, without what its counters say. What iptables keeps in its
 * own form is as iptables calls it.
 */
export function ruleText({ ops, comment }: Rule, members: Members = () => null): string {
  const sources = new Map<number, Source>();
  const words = ops.flatMap((op) => wordsOf(op, sources, members) ?? []);
  const all = [...withoutImplied(words), ...(comment === '' ? [] : [`comment "${comment}"`])];
  return all.join(' ').slice(0, MAX_LENGTH);
}

const MAX_LENGTH = 300;

/** What is in a register: fields one after the other, of which some bits count. */
interface Source {
  fields: readonly Field[];
  mask: Buffer | null;
}

interface Field {
  name: string;
  bytes: number;
  as: As;
}

type As =
  | 'address'
  | 'address6'
  | 'number'
  | 'host number'
  | 'name'
  | 'state'
  | 'flags'
  | 'protocol'
  | 'family';

const field = (name: string, bytes: number, as: As): Field => ({ name, bytes, as });

/** By where they begin in the header. */
const NETWORK: Readonly<Record<string, Field>> = {
  '8 1': field('ip ttl', 1, 'number'),
  '9 1': field('ip protocol', 1, 'protocol'),
  '12 4': field('ip saddr', 4, 'address'),
  '16 4': field('ip daddr', 4, 'address'),
  '6 1': field('ip6 nexthdr', 1, 'protocol'),
  '7 1': field('ip6 hoplimit', 1, 'number'),
  '8 16': field('ip6 saddr', 16, 'address6'),
  '24 16': field('ip6 daddr', 16, 'address6'),
};
const TRANSPORT: Readonly<Record<string, Field>> = {
  '0 2': field('tcp sport', 2, 'number'),
  '2 2': field('tcp dport', 2, 'number'),
  '4 4': field('tcp sequence', 4, 'number'),
  '8 4': field('tcp ackseq', 4, 'number'),
  '13 1': field('tcp flags', 1, 'flags'),
  '14 2': field('tcp window', 2, 'number'),
};
/** Those that nft loads at once where a rule asks for both. */
const PAIRS: Readonly<Record<string, readonly string[]>> = {
  '12 8': ['12 4', '16 4'],
  '8 32': ['8 16', '24 16'],
  '0 4': ['0 2', '2 2'],
};
/** Prefixes of whole bytes are compared as such. */
const PREFIXES: readonly [at: number, whole: number][] = [
  [12, 4],
  [16, 4],
  [8, 16],
  [24, 16],
];

const META: Readonly<Record<number, Field>> = {
  1: field('meta protocol', 2, 'number'),
  3: field('meta mark', 4, 'host number'),
  4: field('iif', 4, 'host number'),
  5: field('oif', 4, 'host number'),
  6: field('iifname', 16, 'name'),
  7: field('oifname', 16, 'name'),
  10: field('meta skuid', 4, 'host number'),
  11: field('meta skgid', 4, 'host number'),
  15: field('meta nfproto', 1, 'family'),
  16: field('meta l4proto', 1, 'protocol'),
  23: field('meta cgroup', 4, 'host number'),
};
const CT: Readonly<Record<number, Field>> = {
  0: field('ct state', 4, 'state'),
  1: field('ct direction', 1, 'number'),
  2: field('ct status', 4, 'host number'),
  3: field('ct mark', 4, 'host number'),
  17: field('ct zone', 2, 'host number'),
};

function payloadFields({ base, offset, bytes }: Extract<Op, { kind: 'payload' }>): Field[] {
  const table = base === BASE.NETWORK ? NETWORK : base === BASE.TRANSPORT ? TRANSPORT : {};
  const parts = PAIRS[`${offset} ${bytes}`] ?? [`${offset} ${bytes}`];
  const found = parts.flatMap((part) => table[part] ?? []);
  if (found.length === parts.length) return found;
  const [prefix] = PREFIXES.filter(
    ([at, whole]) => base === BASE.NETWORK && at === offset && bytes < whole,
  );
  const whole = prefix && NETWORK[prefix.join(' ')];
  if (whole) return [{ ...whole, bytes }];
  return [
    field(`@${['ll', 'nh', 'th'][base] ?? base},${offset * 8},${bytes * 8}`, bytes, 'number'),
  ];
}

/** Null where it says nothing by itself. */
function wordsOf(op: Op, sources: Map<number, Source>, members: Members): string[] | null {
  const load = (to: number, fields: readonly Field[]) => {
    sources.set(to, { fields, mask: null });
    return null;
  };
  switch (op.kind) {
    case 'payload':
      return load(op.to, payloadFields(op));
    case 'meta':
      return load(op.to, [META[op.key] ?? field(`meta #${op.key}`, 4, 'host number')]);
    case 'ct':
      return load(op.to, [CT[op.key] ?? field(`ct #${op.key}`, 4, 'host number')]);
    case 'unknown':
      return op.to === ALL_REGISTERS ? null : load(op.to, [field(op.name, 4, 'number')]);
    case 'value':
      return load(op.to, []);
    case 'bitwise': {
      const source = sources.get(op.from);
      sources.set(op.to, { fields: source?.fields ?? [], mask: op.mask });
      return null;
    }
    case 'cmp':
      return [compared(sources.get(op.from), op.op, op.data)];
    case 'range': {
      const { fields, text } = valuesOf(sources.get(op.from));
      return [`${fields} ${op.outside ? '!= ' : ''}${text(op.low)}-${text(op.high)}`];
    }
    case 'lookup':
      return lookedUp(op, sources, members);
    case 'test':
    case 'maybe':
    case 'pass':
      return [op.text];
    case 'end':
      return [op.text];
    case 'counter':
      return ['counter'];
    case 'verdict':
      return [verdictText(op.verdict)];
    case 'reject':
      return [op.text === '' ? `reject with ${op.with}` : op.text];
  }
}

const OPERATORS = ['', '!= ', '< ', '<= ', '> ', '>= '];

function compared(source: Source | undefined, op: number, data: Buffer): string {
  const fields = source?.fields ?? [];
  const [only] = fields;
  const operator = OPERATORS[op] ?? '';
  const mask = source?.mask;
  if (!only) return `… ${operator}0x${data.toString('hex')}`;
  if (fields.length > 1) {
    let at = 0;
    const each = fields.map(({ name, bytes, as }) => {
      const part = data.subarray(at, at + bytes);
      at += bytes;
      return `${name} ${operator}${valueText(part, as)}`;
    });
    return each.join(' ');
  }
  if (!mask) return `${only.name} ${operator}${valueText(data, only.as)}`;
  // nft has `ct state new,established` for this.
  if (op === 1 && data.every((byte) => byte === 0))
    return `${only.name} ${valueText(mask, only.as)}`;
  if (only.as === 'address' || only.as === 'address6') {
    const bits = prefixOf(mask);
    if (bits !== null) return `${only.name} ${operator}${valueText(data, only.as)}/${bits}`;
  }
  const equals = op === 0 ? '== ' : operator;
  return `${only.name} & ${valueText(mask, only.as)} ${equals}${valueText(data, only.as)}`;
}

function valuesOf(source: Source | undefined) {
  const fields = source?.fields ?? [];
  const as = fields.length === 1 ? (fields[0]?.as ?? 'number') : 'number';
  return {
    fields: fields.length === 0 ? '…' : fields.map(({ name }) => name).join(' . '),
    text: (value: Buffer) => valueText(value, as),
  };
}

function lookedUp(
  op: Extract<Op, { kind: 'lookup' }>,
  sources: Map<number, Source>,
  members: Members,
): string[] {
  const keys = keysOf(op.from, sources);
  const fields = keys.map(({ name }) => name).join(' . ') || '…';
  // Sets and maps without a name are part of the rule.
  const set = /^__(set|map)\d/.test(op.set) ? membersText(members(op.set), keys) : `@${op.set}`;
  if (op.to === null) return [`${fields} ${op.inverted ? '!= ' : ''}${set}`];
  if (op.to === 0) return [`${fields} vmap ${set}`];
  sources.set(op.to, { fields: [field(`${fields} map ${set}`, 4, 'number')], mask: null });
  return [];
}

/** Of several fields each begins in a register of its own. */
function keysOf(from: number, sources: Map<number, Source>): Field[] {
  const keys: Field[] = [];
  for (let at = from, source = sources.get(at); source; source = sources.get(at)) {
    keys.push(...source.fields);
    const bytes = source.fields.reduce((sum, one) => sum + one.bytes, 0);
    if (bytes === 0) break;
    at += Math.ceil(bytes / 4);
  }
  return keys;
}

function membersText(members: Member[] | null, keys: readonly Field[]): string {
  if (!members) return '{ … }';
  const sorted = members.toSorted((a, b) => a.key.compare(b.key) || Number(b.end) - Number(a.end));
  const each = sorted.flatMap((member, at) => {
    if (member.end) return [];
    const next = sorted[at + 1];
    const text = next?.end ? intervalText(member.key, next.key, keys) : keyText(member.key, keys);
    return member.verdict ? `${text} : ${verdictText(member.verdict)}` : text;
  });
  return `{ ${each.join(', ')} }`;
}

function keyText(key: Buffer, fields: readonly Field[]): string {
  let at = 0;
  const parts = fields.map(({ bytes, as }) => {
    const part = key.subarray(at, at + bytes);
    at += Math.ceil(bytes / 4) * 4;
    return valueText(part, as);
  });
  return parts.join(' . ');
}

/** `end` is the first that is not in it. */
function intervalText(begin: Buffer, end: Buffer, fields: readonly Field[]): string {
  const [from, beyond] = [BigInt(`0x${begin.toString('hex')}`), BigInt(`0x${end.toString('hex')}`)];
  if (beyond - from === 1n) return keyText(begin, fields);
  const last = Buffer.from((beyond - 1n).toString(16).padStart(2 * end.length, '0'), 'hex');
  const mask = Buffer.from(begin.map((byte, at) => ~(byte ^ (last[at] ?? 0))));
  const bits = begin.length >= 4 ? prefixOf(mask) : null;
  const isPrefix = bits !== null && begin.every((byte, at) => (byte & (mask[at] ?? 0)) === byte);
  return isPrefix
    ? `${keyText(begin, fields)}/${bits}`
    : `${keyText(begin, fields)}-${keyText(last, fields)}`;
}

const STATES: readonly [number, string][] = [
  [1, 'invalid'],
  [2, 'established'],
  [4, 'related'],
  [8, 'new'],
  [64, 'untracked'],
];
const FLAGS = ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ecn', 'cwr'];
const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  58: 'icmpv6',
};

function valueText(value: Buffer, as: As): string {
  switch (as) {
    case 'address':
      return addressOf(value, false);
    case 'address6':
      return addressOf(value, true);
    case 'name': {
      const name = value
        .toString('utf8')
        .replace(/\0.*$/s, '')
        .replace(/\p{Cc}/gu, ' ');
      return `"${name}${value.includes(0) || value.length === 16 ? '' : '*'}"`;
    }
    case 'state': {
      const bits = value.length >= 4 ? value.readUInt32LE(0) : 0;
      const names = STATES.filter(([bit]) => bits & bit).map(([, name]) => name);
      return names.join(',') || String(bits);
    }
    case 'flags':
      return FLAGS.filter((_, bit) => (value[0] ?? 0) & (1 << bit)).join('|') || '0x0';
    case 'protocol':
      return PROTOCOLS[value[0] ?? 0] ?? String(value[0]);
    case 'family':
      return value[0] === 2 ? 'ipv4' : value[0] === 10 ? 'ipv6' : String(value[0]);
    case 'host number':
      return String(value.length === 0 ? 0 : value.readUIntLE(0, Math.min(value.length, 4)));
    case 'number':
      return value.length <= 4 && value.length > 0
        ? String(value.readUIntBE(0, value.length))
        : `0x${value.toString('hex')}`;
  }
}

/** A prefix where it is no whole address. */
function addressOf(value: Buffer, isV6: boolean): string {
  const whole = Buffer.alloc(isV6 ? 16 : 4);
  value.copy(whole);
  const mapped = isV6 ? whole : Buffer.concat([MAPPED, whole]);
  const prefix = value.length === whole.length ? '' : `/${value.length * 8}`;
  return `${addressText(mapped)}${prefix}`;
}

const MAPPED = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);

/** Null where the bits are not the first ones. */
function prefixOf(mask: Buffer): number | null {
  const bits = [...mask].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return /^1*0*$/.test(bits) ? bits.replace(/0/g, '').length : null;
}

function verdictText({ code, chain }: Verdict): string {
  switch (code) {
    case VERDICT.DROP:
      return 'drop';
    case VERDICT.ACCEPT:
      return 'accept';
    case VERDICT.CONTINUE:
      return 'continue';
    case VERDICT.JUMP:
      return `jump ${chain}`;
    case VERDICT.GOTO:
      return `goto ${chain}`;
    case VERDICT.RETURN:
      return 'return';
    default:
      return `verdict ${code}`;
  }
}

/** `tcp dport 80` says that it is TCP. */
function withoutImplied(words: readonly string[]): string[] {
  const has = (beginning: string) => words.some((word) => word.startsWith(beginning));
  const implied = new Set([
    ...(has('tcp ') ? ['meta l4proto tcp', 'ip protocol tcp', 'ip6 nexthdr tcp'] : []),
    ...(has('ip ') ? ['meta nfproto ipv4', 'meta protocol 2048'] : []),
    ...(has('ip6 ') ? ['meta nfproto ipv6', 'meta protocol 34525'] : []),
  ]);
  return words.filter((word) => !implied.has(word));
}
