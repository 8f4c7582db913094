// SPDX-License-Identifier: Apache-2.0

import { type As, BASE, type Op } from './op.ts';

/** What a load has in its register: a part of a header, or what is known of a packet. */
export interface Field {
  name: string;
  bytes: number;
  as: As;
  /** Of bits of it, by their mask: what they are, and how many are behind them. */
  bits?: Readonly<Record<number, readonly [name: string, shift: number, as: As]>>;
}

export const field = (name: string, bytes: number, as: As): Field => ({ name, bytes, as });

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

export const META: Readonly<Record<number, Field>> = {
  0: field('meta length', 4, 'host number'),
  1: field('meta protocol', 2, 'ethertype'),
  2: field('meta priority', 4, 'priority'),
  3: field('meta mark', 4, 'mark'),
  4: field('iif', 4, 'device'),
  5: field('oif', 4, 'device'),
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

export function ctField(key: number, direction: number | null): Field {
  const whole = CT[key] ?? field(`ct #${key}`, 4, 'host number');
  if (direction === null) return whole;
  return { ...whole, name: whole.name.replace('ct ', `ct ${direction ? 'reply' : 'original'} `) };
}

export function payloadFields({ base, offset, bytes }: Extract<Op, { kind: 'payload' }>): Field[] {
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
