// SPDX-License-Identifier: Apache-2.0

import { counterOf } from './netstat-wording.ts';

/** What one text has, by the names of /proc/net/netstat: `TcpExt.ListenDrops`. */
export interface Counters {
  /** In the order of the text. */
  values: Map<string, number>;
  /** A counter that is not in it may be zero. */
  omits_zeros: boolean;
  /** Groups that it has to their end: what it omits of them is zero. */
  whole: ReadonlySet<string>;
  /** Lines that say of nothing known how much it is. */
  unknown: string[];
}

/** The text is none of counters, or not as it was written: the message says why, for behind the name of the file. */
export class CountersError extends Error {
  override name = 'CountersError';
}

/** The longest first: each is the beginning of a name of `nstat`. */
const GROUPS = [
  ...['MPTcpExt', 'TcpExt', 'IpExt', 'IcmpMsg', 'UdpLite6', 'UdpLite', 'Icmp6', 'Icmp'],
  ...['Udp6', 'Udp', 'Tcp', 'Ip6', 'Ip'],
];

/** `netstat -s`, `nstat` as text or JSON, or /proc/net/netstat, snmp and snmp6, in one text or some of them. Throws CountersError. */
export function parseCounters(text: string): Counters {
  if (text.trim() === '') throw new CountersError('is empty');
  if (text.includes('\0')) throw new CountersError('is no text');
  if (text.trimStart().startsWith('{')) return ofJson(text);
  if (!text.endsWith('\n')) throw new CountersError('ends within a line: was it cut off?');
  const lines = text.split('\n').slice(0, -1);
  if (lines.some((line) => PROC_LINE.test(line))) return ofProc(lines);
  if (lines.some((line) => NSTAT_LINE.test(line) && splitName(line.split(/\s/)[0] ?? '')))
    return ofNstat(lines);
  return ofNetstat(lines);
}

const NONE: ReadonlySet<string> = new Set();

/** `TcpExt: SyncookiesSent SyncookiesRecv …`, and `TcpExt: 0 0 …` below. */
const PROC_LINE = /^(\w+): \w+( -?\w+)+ ?$/;
/** `TcpExtListenDrops 7 0.0`, as /proc/net/snmp6 too has it without what comes last. */
const NSTAT_LINE = /^[A-Z]\w+\s+-?\d+(\s+[\d.]+)?\s*$/;

function ofProc(lines: readonly string[]): Counters {
  const values = new Map<string, number>();
  const unknown: string[] = [];
  for (let at = 0; at < lines.length; at++) {
    const line = (lines[at] ?? '').trimEnd();
    if (line === '') continue;
    if (NSTAT_LINE.test(line)) {
      addNamed(values, line);
      continue;
    }
    const names = line.split(/\s+/);
    const numbers = (lines[at + 1] ?? '').trim().split(/\s+/);
    const group = names[0] ?? '';
    if (!/^\w+:$/.test(group) || numbers[0] !== group) {
      if (PROC_LINE.test(line))
        throw new CountersError(`has no values for line ${at + 1}: was it cut off?`);
      unknown.push(line);
      continue;
    }
    if (names.length !== numbers.length)
      throw new CountersError(
        `is damaged: line ${at + 1} has ${names.length - 1} names, and the next ${numbers.length - 1} values`,
      );
    for (let i = 1; i < names.length; i++) {
      const text = numbers[i] ?? '';
      if (!/^-?\d+$/.test(text))
        throw new CountersError(`is damaged: line ${at + 2} has ${shown(text)} for a number`);
      values.set(`${group.slice(0, -1)}.${names[i]}`, Number(text));
    }
    at++;
  }
  return { values, omits_zeros: false, whole: NONE, unknown };
}

function ofNstat(lines: readonly string[]): Counters {
  const values = new Map<string, number>();
  const unknown: string[] = [];
  for (const line of lines) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    if (!NSTAT_LINE.test(line) || !addNamed(values, line)) unknown.push(line);
  }
  // With -z it has those that are zero, and then all.
  return { values, omits_zeros: ![...values.values()].includes(0), whole: NONE, unknown };
}

function ofJson(text: string): Counters {
  let rows: unknown;
  try {
    rows = (JSON.parse(text) as { kernel?: unknown }).kernel;
  } catch {
    throw new CountersError('is neither counters nor whole JSON: was it cut off?');
  }
  if (typeof rows !== 'object' || rows === null)
    throw new CountersError('is JSON, and not of nstat --json');
  const values = new Map<string, number>();
  const unknown: string[] = [];
  for (const [name, value] of Object.entries(rows)) {
    if (typeof value !== 'number' || !addNamed(values, `${name} ${value}`)) unknown.push(name);
  }
  return { values, omits_zeros: ![...values.values()].includes(0), whole: NONE, unknown };
}

function ofNetstat(lines: readonly string[]): Counters {
  const values = new Map<string, number>();
  const unknown: string[] = [];
  let group: string | null = null;
  const whole = new Set<string>();
  for (const line of lines) {
    const text = line.trim();
    if (text === '' || /histogram:$/.test(text)) continue;
    const heading = /^(\w+):$/.exec(text);
    if (heading) {
      if (group !== null) whole.add(group);
      group = heading[1] ?? null;
      continue;
    }
    const named = /^([A-Z]\w*): (-?\d+)$/.exec(text);
    const number = named?.[2] ?? /(?<!\S)\d+(?!\S)/.exec(text)?.[0];
    const wording = text.replace(number ?? '', 'N').replace(/^N /, '');
    const counter = named ? counterNamed(group, named[1] ?? '') : counterOf(group, wording);
    // Settings, as "Forwarding is enabled".
    if (number === undefined || counter === undefined) continue;
    if (counter === null) unknown.push(text);
    else values.set(counter, Number(number));
  }
  if (values.size === 0)
    throw new CountersError(
      'has no counters that are known (netstat -s, nstat -az, /proc/net/netstat and snmp have them)',
    );
  return { values, omits_zeros: true, whole, unknown };
}

/** What `netstat -s` has no words for: with the group before it in IPv6, and by itself in a line that was kept. */
function counterNamed(group: string | null, name: string): string {
  const split = splitName(name);
  if (split && (group === null || split.startsWith(`${group}.`))) return split;
  return `${group ?? 'TcpExt'}.${name}`;
}

function addNamed(values: Map<string, number>, line: string): boolean {
  const [name = '', value] = line.trim().split(/\s+/);
  const counter = splitName(name);
  if (counter !== null) values.set(counter, Number(value));
  return counter !== null;
}

/** `TcpExt.ListenDrops` for `TcpExtListenDrops`. */
function splitName(name: string): string | null {
  const group = GROUPS.find((one) => name.startsWith(one) && name.length > one.length);
  return group === undefined ? null : `${group}.${name.slice(group.length)}`;
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 40));
}
