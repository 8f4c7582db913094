// SPDX-License-Identifier: Apache-2.0

import { addressText } from '../../tcp/address.ts';
import type { As } from './op.ts';

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

/** The name of the device of this number; null: not known. */
export type DeviceName = (ifindex: number) => string | null;

/** As nft writes it. */
export function valueText(value: Buffer, as: As, device: DeviceName = () => null): string {
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
      return FLAGS.filter((_, bit) => (value[0] ?? 0) & (1 << bit)).join(',') || '0x0';
    case 'protocol':
      return PROTOCOLS[value[0] ?? 0] ?? String(value[0]);
    case 'family':
      return value[0] === 2 ? 'ipv4' : value[0] === 10 ? 'ipv6' : String(value[0]);
    case 'device': {
      const name = device(hostNumber(value));
      return name === null ? String(hostNumber(value)) : `"${name}"`;
    }
    case 'host number':
      return String(hostNumber(value));
    case 'hex':
      return `0x${value.toString('hex').replace(/^0+(?=.)/, '')}`;
    case 'mark':
      return `0x${hostNumber(value).toString(16).padStart(8, '0')}`;
    case 'status': {
      const bits = hostNumber(value);
      return STATUS.filter((_, bit) => bits & (1 << bit)).join(',') || String(bits);
    }
    case 'direction':
      return ['original', 'reply'][value[0] ?? 0] ?? String(value[0]);
    case 'ethertype': {
      const type = value.length < 2 ? 0 : value.readUInt16BE(0);
      return ETHERTYPES[type] ?? String(type);
    }
    case 'mac':
      return [...value].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
    case 'exists':
      return value[0] ? 'exists' : 'missing';
    case 'addrtype':
      return ADDRESS_TYPES[hostNumber(value)] ?? String(hostNumber(value));
    case 'iftype':
      return DEVICE_TYPES[hostNumber(value)] ?? String(hostNumber(value));
    case 'pkttype':
      return PACKET_TYPES[value[0] ?? 0] ?? String(value[0]);
    case 'priority': {
      const both = hostNumber(value);
      return `${(both >>> 16).toString(16)}:${(both & 0xffff).toString(16)}`;
    }
    case 'dscp':
      return DSCP[value[0] ?? 0] ?? `0x${(value[0] ?? 0).toString(16).padStart(2, '0')}`;
    case 'duration':
      return duration(hostNumber(value));
    case 'day':
      return `"${DAYS[value[0] ?? 0] ?? value[0]}"`;
    case 'hour':
      return `"${hourOf(hostNumber(value))}"`;
    case 'time':
      return `"${timeOf(value)}"`;
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

function hostNumber(value: Buffer): number {
  return value.length === 0 ? 0 : value.readUIntLE(0, Math.min(value.length, 4));
}

/** `1m40s`. */
export function duration(ms: number): string {
  let left = Math.floor(ms / 1000);
  const parts = UNITS.flatMap(([unit, seconds]) => {
    const count = Math.floor(left / seconds);
    left -= count * seconds;
    return count > 0 ? [`${count}${unit}`] : [];
  });
  if (ms % 1000 > 0) parts.push(`${ms % 1000}ms`);
  return parts.join('') || '0s';
}

/** `10 mbytes`. */
export function amount(bytes: bigint): string {
  let [left, unit] = [bytes, 0];
  for (; left > 0n && left % 1024n === 0n && unit < AMOUNTS.length - 1; unit++) left /= 1024n;
  return `${left} ${AMOUNTS[unit]}`;
}

/** The kernel has it by UTC, and nft shows it by the clock of the host. */
function hourOf(seconds: number): string {
  const here = seconds - new Date().getTimezoneOffset() * 60;
  const of_day = ((here % DAY_S) + DAY_S) % DAY_S;
  const text = new Date(of_day * 1000).toISOString();
  return text.slice(11, of_day % 60 === 0 ? 16 : 19);
}

function timeOf(ns: Buffer): string {
  const at = new Date(ns.length < 8 ? 0 : Number(ns.readBigUInt64LE(0) / 1_000_000n));
  const here = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return here.toISOString().slice(0, 19).replace('T', ' ');
}

const DAY_S = 86_400;
const UNITS: readonly [string, number][] = [
  ['d', DAY_S],
  ['h', 3600],
  ['m', 60],
  ['s', 1],
];
const AMOUNTS = ['bytes', 'kbytes', 'mbytes'];
const STATUS = [
  ...['expected', 'seen-reply', 'assured', 'confirmed', 'snat', 'dnat'],
  ...['seq-adjust', 'src-nat-done', 'dst-nat-done', 'dying'],
];
const ETHERTYPES: Readonly<Record<number, string>> = {
  2048: 'ip',
  2054: 'arp',
  33024: '8021q',
  34525: 'ip6',
};
const ADDRESS_TYPES = [
  ...['unspec', 'unicast', 'local', 'broadcast', 'anycast', 'multicast'],
  ...['blackhole', 'unreachable', 'prohibit'],
];
const DEVICE_TYPES: Readonly<Record<number, string>> = {
  1: 'ether',
  512: 'ppp',
  768: 'ipip',
  769: 'ipip6',
  772: 'loopback',
  776: 'sit',
  778: 'ipgre',
};
const PACKET_TYPES = ['host', 'broadcast', 'multicast', 'other'];
const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const DSCP: Readonly<Record<number, string>> = {
  ...{ 0: 'cs0', 8: 'cs1', 16: 'cs2', 24: 'cs3', 32: 'cs4', 40: 'cs5', 48: 'cs6', 56: 'cs7' },
  ...{ 10: 'af11', 12: 'af12', 14: 'af13', 18: 'af21', 20: 'af22', 22: 'af23' },
  ...{ 26: 'af31', 28: 'af32', 30: 'af33', 34: 'af41', 36: 'af42', 38: 'af43', 46: 'ef' },
};
