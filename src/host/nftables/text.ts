// SPDX-License-Identifier: Apache-2.0

import { ctField, type Field, field, META, payloadFields } from './fields.ts';
import { ALL_REGISTERS, type Op, VERDICT, type Verdict } from './op.ts';
import type { Rule } from './rule.ts';
import type { Member } from './ruleset.ts';
import { type DeviceName, valueText } from './values.ts';

/** What is in a set that has no name; null: not known, or a lot. */
export type Members = (set: string) => Member[] | null;

/**
 * A rule as nft writes it, as far as it is known how, without what its counters say. What iptables keeps in its
 * own form is as iptables calls it.
 */
export function ruleText(
  { ops, comment }: Rule,
  members: Members = () => null,
  device: DeviceName = () => null,
): string {
  const sources = new Map<number, Source>();
  const words: string[] = [];
  for (const op of ops) words.push(...(wordsOf(op, sources, { members, device }, words) ?? []));
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

interface Names {
  members: Members;
  device: DeviceName;
}

/** Null where it says nothing by itself. */
function wordsOf(
  op: Op,
  sources: Map<number, Source>,
  names: Names,
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
      return [compared(sources.get(op.from), op.op, op.data, names)];
    case 'range': {
      const { fields, text } = valuesOf(sources.get(op.from));
      return [`${fields} ${op.outside ? '!= ' : ''}${text(op.low)}-${text(op.high)}`];
    }
    case 'lookup':
      return lookedUp(op, sources, names);
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

function compared(
  source: Source | undefined,
  op: number,
  value: Buffer,
  { device }: Names,
): string {
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
      return `${name} ${operator}${valueText(part, as, device)}`;
    });
    return each.join(' ');
  }
  if (!mask) return `${only.name} ${operator}${valueText(data, only.as, device)}`;
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
  { members, device }: Names,
): string[] {
  const keys = keysOf(op.from, sources);
  const fields = keys.map(({ name }) => name).join(' . ') || '…';
  // Sets and maps without a name are part of the rule.
  const set = /^__(set|map)\d/.test(op.set)
    ? membersText(members(op.set), keys, device)
    : `@${op.set}`;
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

function membersText(members: Member[] | null, keys: readonly Field[], device: DeviceName): string {
  if (!members) return '{ … }';
  const sorted = members.toSorted((a, b) => a.key.compare(b.key) || Number(b.end) - Number(a.end));
  const each = sorted.flatMap((member, at) => {
    if (member.end) return [];
    const next = sorted[at + 1];
    const text = next?.end
      ? intervalText(member.key, next.key, keys)
      : keyText(member.key, keys, device);
    return member.verdict ? `${text} : ${verdictText(member.verdict)}` : text;
  });
  return `{ ${each.join(', ')} }`;
}

function keyText(key: Buffer, fields: readonly Field[], device?: DeviceName): string {
  let at = 0;
  const parts = fields.map(({ bytes, as }) => {
    const part = key.subarray(at, at + bytes);
    at += Math.ceil(bytes / 4) * 4;
    return valueText(part, as, device);
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
