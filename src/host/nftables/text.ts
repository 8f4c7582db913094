// SPDX-License-Identifier: Apache-2.0

import { ALL_REGISTERS, type As, BASE, type Op, VERDICT, type Verdict } from './op.ts';
import type { Rule } from './rule.ts';
import type { Member } from './ruleset.ts';
import { valueText } from './values.ts';

/** What is in a set that has no name; null: not known, or a lot. */
export type Members = (set: string) => Member[] | null;

/**
 * A rule as nft writes it, as far as it is known how, without what its counters say. What iptables keeps in its
 * own form is as iptables calls it.
 */
export function ruleText({ ops, comment }: Rule, members: Members = () => null): string {
  const sources = new Map<number, Source>();
  const words: string[] = [];
  for (const op of ops) words.push(...(wordsOf(op, sources, members, words) ?? []));
  const all = [
    ...withRanges(withoutImplied(words)),
    ...(comment === '' ? [] : [`comment "${comment}"`]),
  ];
  return all.join(' ').slice(0, MAX_LENGTH);
}

const MAX_LENGTH = 300;

/** What is in a register: fields one after the other, of which some bits count. */
interface Source {
  fields: readonly Field[];
  mask: Buffer | null;
  /** Its bytes are the other way round. */
  swapped?: boolean;
  /** Where it is a value. */
  data?: Buffer;
}

interface Field {
  name: string;
  bytes: number;
  as: As;
  /** Of bits of it, by their mask: what they are, and how many are behind them. */
  bits?: Readonly<Record<number, readonly [name: string, shift: number, as: As]>>;
}

const field = (name: string, bytes: number, as: As): Field => ({ name, bytes, as });

/** By where they begin in the header. */
const LINK: Readonly<Record<string, Field>> = {
  '0 6': field('ether daddr', 6, 'mac'),
  '6 6': field('ether saddr', 6, 'mac'),
  '12 2': field('ether type', 2, 'ethertype'),
};
const NETWORK: Readonly<Record<string, Field>> = {
  '1 1': {
    ...field('@nh,8,8', 1, 'hex'),
    bits: { 252: ['ip dscp', 2, 'dscp'], 3: ['ip ecn', 0, 'number'] },
  },
  '2 2': field('ip length', 2, 'number'),
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
  '12 1': { ...field('@th,96,8', 1, 'hex'), bits: { 240: ['tcp doff', 4, 'number'] } },
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
  0: field('meta length', 4, 'host number'),
  1: field('meta protocol', 2, 'ethertype'),
  2: field('meta priority', 4, 'priority'),
  3: field('meta mark', 4, 'mark'),
  4: field('iif', 4, 'host number'),
  5: field('oif', 4, 'host number'),
  6: field('iifname', 16, 'name'),
  7: field('oifname', 16, 'name'),
  8: field('meta iiftype', 2, 'iftype'),
  9: field('meta oiftype', 2, 'iftype'),
  10: field('meta skuid', 4, 'host number'),
  11: field('meta skgid', 4, 'host number'),
  12: field('meta nftrace', 1, 'host number'),
  13: field('meta rtclassid', 4, 'host number'),
  15: field('meta nfproto', 1, 'family'),
  16: field('meta l4proto', 1, 'protocol'),
  17: field('meta ibrname', 16, 'name'),
  18: field('meta obrname', 16, 'name'),
  19: field('meta pkttype', 1, 'pkttype'),
  20: field('meta cpu', 4, 'host number'),
  21: field('iifgroup', 4, 'host number'),
  22: field('oifgroup', 4, 'host number'),
  23: field('meta cgroup', 4, 'host number'),
  24: field('meta random', 4, 'number'),
  25: field('meta ipsec', 1, 'exists'),
  26: field('meta iifkind', 16, 'name'),
  27: field('meta oifkind', 16, 'name'),
  30: field('meta time', 8, 'time'),
  31: field('meta day', 1, 'day'),
  32: field('meta hour', 4, 'hour'),
  33: field('meta sdif', 4, 'host number'),
  34: field('meta sdifname', 16, 'name'),
};
const CT: Readonly<Record<number, Field>> = {
  0: field('ct state', 4, 'state'),
  1: field('ct direction', 1, 'direction'),
  2: field('ct status', 4, 'status'),
  3: field('ct mark', 4, 'mark'),
  5: field('ct expiration', 4, 'duration'),
  6: field('ct helper', 16, 'name'),
  7: field('ct l3proto', 1, 'family'),
  10: field('ct protocol', 1, 'protocol'),
  11: field('ct proto-src', 2, 'number'),
  12: field('ct proto-dst', 2, 'number'),
  14: field('ct packets', 8, 'host number'),
  15: field('ct bytes', 8, 'host number'),
  16: field('ct avgpkt', 8, 'host number'),
  17: field('ct zone', 2, 'host number'),
  19: field('ct ip saddr', 4, 'address'),
  20: field('ct ip daddr', 4, 'address'),
  21: field('ct ip6 saddr', 16, 'address6'),
  22: field('ct ip6 daddr', 16, 'address6'),
  23: field('ct id', 4, 'host number'),
};

function ctField(key: number, direction: number | null): Field {
  const whole = CT[key] ?? field(`ct #${key}`, 4, 'host number');
  if (direction === null) return whole;
  return { ...whole, name: whole.name.replace('ct ', `ct ${direction ? 'reply' : 'original'} `) };
}

function payloadFields({ base, offset, bytes }: Extract<Op, { kind: 'payload' }>): Field[] {
  const table = [LINK, NETWORK, TRANSPORT][base] ?? {};
  const parts = PAIRS[`${offset} ${bytes}`] ?? [`${offset} ${bytes}`];
  const found = parts.flatMap((part) => table[part] ?? []);
  if (found.length === parts.length) return found;
  const [prefix] = PREFIXES.filter(
    ([at, whole]) => base === BASE.NETWORK && at === offset && bytes < whole,
  );
  const whole = prefix && NETWORK[prefix.join(' ')];
  if (whole) return [{ ...whole, bytes }];
  return [field(`@${['ll', 'nh', 'th'][base] ?? base},${offset * 8},${bytes * 8}`, bytes, 'hex')];
}

/** Null where it says nothing by itself. */
function wordsOf(
  op: Op,
  sources: Map<number, Source>,
  members: Members,
  before: readonly string[],
): string[] | null {
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
      return load(op.to, [ctField(op.key, op.direction)]);
    case 'unknown': {
      if (op.to === ALL_REGISTERS) return null;
      const source = op.of === undefined ? undefined : sources.get(op.of);
      if (op.swapped && source) {
        sources.set(op.to, { ...source, swapped: !source.swapped });
        return null;
      }
      const made = op.of === undefined ? [] : [namesOf(keysOf(op.of, sources)), op.more ?? ''];
      return load(op.to, [field([op.name, ...made].join(' '), op.bytes ?? 4, op.as ?? 'number')]);
    }
    case 'value':
      sources.set(op.to, { fields: [], mask: null, data: op.data });
      return null;
    case 'bitwise': {
      const source = sources.get(op.from);
      sources.set(op.to, { ...source, fields: source?.fields ?? [], mask: op.mask });
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
    case 'maybe': {
      if (!op.adds) return [op.text];
      const { from, kept } = op.adds;
      return [`${op.text} { ${namesOf(keysOf(from, sources))}${kept === '' ? '' : ` ${kept}`} }`];
    }
    case 'pass': {
      const source = op.sets && sources.get(op.sets.from);
      if (!op.sets || !source || source.mask) return [op.text];
      const { data, fields } = source;
      return [`${op.text} ${data ? valueText(data, op.sets.as) : namesOf(fields)}`];
    }
    case 'test':
    case 'end':
      return [op.text];
    case 'counter':
      return ['counter'];
    case 'verdict':
      return [verdictText(op.verdict)];
    case 'reject':
      if (op.text !== '') return [op.text];
      return [`reject with ${op.with6 && before.some(isOfIpv6) ? op.with6 : op.with}`];
  }
}

function isOfIpv6(word: string): boolean {
  return word === 'meta nfproto ipv6' || word === 'meta protocol ip6' || word.startsWith('ip6 ');
}

function namesOf(fields: readonly Field[]): string {
  return fields.map(({ name }) => name).join(' . ') || '…';
}

const OPERATORS = ['', '!= ', '< ', '<= ', '> ', '>= '];

function compared(source: Source | undefined, op: number, value: Buffer): string {
  const data = source?.swapped ? Buffer.from(value).reverse() : value;
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
  const part = only.bits?.[mask[0] ?? 0];
  if (part) {
    const [name, shift, as] = part;
    return `${name} ${operator}${valueText(data.map((byte) => byte >> shift) as Buffer, as)}`;
  }
  // nft has `ct state new,established` for this.
  if (op === 1 && data.every((byte) => byte === 0))
    return `${only.name} ${valueText(mask, only.as)}`;
  if (only.as === 'address' || only.as === 'address6') {
    const bits = prefixOf(mask);
    if (bits !== null) return `${only.name} ${operator}${valueText(data, only.as)}/${bits}`;
  }
  if (only.as === 'flags')
    return `${only.name} ${operator}${valueText(data, only.as)} / ${valueText(mask, only.as)}`;
  const equals = op === 0 ? '== ' : operator;
  return `${only.name} & ${valueText(mask, only.as)} ${equals}${valueText(data, only.as)}`;
}

function valuesOf(source: Source | undefined) {
  const fields = source?.fields ?? [];
  const as = fields.length === 1 ? (fields[0]?.as ?? 'number') : 'number';
  return {
    fields: fields.length === 0 ? '…' : fields.map(({ name }) => name).join(' . '),
    text: (value: Buffer) => valueText(source?.swapped ? Buffer.from(value).reverse() : value, as),
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

/** `tcp dport 80` says that it is TCP; where it may be others too, nft has `th` for it. */
function withoutImplied(words: readonly string[]): string[] {
  const others = words.some((word) => /^(meta l4proto|ip protocol|ip6 nexthdr) \{/.test(word));
  const named = others ? words.map((word) => word.replace(/\btcp (?=[sd]port\b)/g, 'th ')) : words;
  const told = named.map((word) => word.replace(/"[^"]*"/g, ''));
  const has = (name: string) => told.some((word) => new RegExp(`(^| )${name}`).test(word));
  const implied = new Set([
    ...(has('tcp (?!reset)') ? TCP_SAID : []),
    ...(has('ip ') ? ['meta nfproto ipv4', 'meta protocol ip'] : []),
    ...(has('ip6 ') || has('exthdr ') ? ['meta nfproto ipv6', 'meta protocol ip6'] : []),
    ...(has('ether ') ? ['meta iiftype ether'] : []),
  ]);
  return named.filter((word) => !implied.has(word));
}

const TCP_SAID = ['meta l4proto tcp', 'ip protocol tcp', 'ip6 nexthdr tcp'];

/** Two comparisons for what nft writes as a range. */
function withRanges(words: readonly string[]): string[] {
  return words.flatMap((word, at) => {
    const [, low] = word.match(/^(.+) >= \S+$/) ?? [];
    const next = words[at + 1];
    if (low && next?.startsWith(`${low} <= `))
      return `${low} ${word.slice(low.length + 4)}-${next.slice(low.length + 4)}`;
    const [, high] = word.match(/^(.+) <= \S+$/) ?? [];
    return high && words[at - 1]?.startsWith(`${high} >= `) ? [] : word;
  });
}
