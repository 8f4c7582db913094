// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { addressOf, endOfKey, otherSide, portOf } from '../../src/capture/ends.ts';
import { type Passing, Segments } from '../../src/capture/segment.ts';
import { captureReader } from '../../src/native/capture.ts';
import { Checksum } from '../../src/record/check.ts';
import { FORMAT } from '../../src/record/read.ts';
import { addressBytes, addressText } from '../../src/tcp/address.ts';
import { TCP_FLAG } from '../../src/tcp/flags.ts';
import { TCP_STATE } from '../../src/tcp/states.ts';
import { encodeEvent, encodeHeader } from '../../src/wire/decode.ts';
import type { Packet } from '../../src/wire/types.gen.ts';

/** A TCP segment over IPv4, as captured. */
interface Captured {
  /** Wall clock. */
  sec: number;
  nsec: number;
  saddr: string;
  daddr: string;
  sport: number;
  dport: number;
  packet: Pick<Packet, 'flags' | 'seq' | 'ack_seq' | 'window' | 'payload_len' | 'ttl'> &
    Pick<Packet, 'has_timestamps' | 'tsval' | 'tsecr'>;
}

type Json = { [field: string]: unknown };
type Counters = Record<string, number>;

/** Where the clock of the recording begins. */
const START_KTIME_NS = 1_000_000_000n;
const NETNS = 4_026_531_840;
const NO_HOOK = 'made of a packet capture and of counters: tools/tw-recycle';
/** Any, one for each kind of occurrence. */
const KEY = { refused: '1', reset: '2' };

/**
 * A recording of what tcpwhy would have seen on the server of a capture. Which SYNs it refused is
 * what the capture shows (no answer), and throws where the server's counters say otherwise.
 */
export function recordingOf(folder: string): Buffer {
  const read = (name: string) => readFileSync(join(folder, name));
  const segments: Captured[] = [];
  const reader = new Segments(captureReader([]));
  reader.give(read('pcap'));
  reader.take((one) => segments.push(captured(one)));
  const counters = {
    before: readCounters(String(read('before.netstat'))),
    after: readCounters(String(read('after.netstat'))),
  };
  const events = eventsOf(segments, String(read('metrics-after-first-close.txt')));
  expectCounted(events, counters);
  const [first] = segments;
  if (!first) throw new Error(`${folder}: nothing was captured`);
  const offset_ns = wall_ns(first) - START_KTIME_NS;
  const end_ns = wall_ns(segments.at(-1) ?? first) - offset_ns + 1n;
  const header = encodeHeader({
    magic: 'tcpwhy',
    format: FORMAT,
    tcpwhy_version: '0.1.0',
    host: 'server',
    kernel: '4.9.0',
    machine: 'x86_64',
    clock_offset_ns: String(offset_ns),
    start_ktime_ns: Number(START_KTIME_NS),
    tier: 'hooks',
    hooks: [{ fact: 'syn_fate', hook: NO_HOOK, reason: '' }],
    enums: [],
    sysctls: readSysctls(String(read('sysctls.txt'))),
    counters: counters.before,
    filters: [],
    netns: NETNS,
    run: '1',
    part: 1,
  });
  const body = Buffer.concat([
    header,
    ...events.map(({ at, event }) =>
      encodeEvent({ ...event, netns: NETNS, ktime_ns: String(wall_ns(at) - offset_ns) }),
    ),
    encodeEvent({ ktime_ns: String(end_ns), tick: {} }),
    encodeEvent({ ktime_ns: String(end_ns), footer: { counters: counters.after, end: 'time' } }),
  ]);
  const sum = new Checksum();
  sum.add(body);
  return Buffer.concat([body, sum.take()]);
}

interface Told {
  at: Captured;
  event: Json;
}

/** What a server remembers of a client's address, and since when. */
interface Remembered {
  tsval: number;
  sec: number;
}

function eventsOf(segments: Captured[], metrics: string): Told[] {
  const stamps = new Map<string, Remembered>();
  const closing = new Set<string>();
  const events: Told[] = [];
  let checked = false;
  for (const [index, one] of segments.entries()) {
    const later = segments.slice(index + 1);
    if (isSyn(one) && !isAnswered(one, later)) events.push(refused(one, stamps.get(one.saddr)));
    else if (isResetOfHandshake(one, segments.slice(0, index))) events.push(reset(one));
    if (one.packet.flags & TCP_FLAG.fin) {
      // Who closes first has the TIME_WAIT, which begins with the other's FIN.
      if (closing.has(flow(reverse(one)))) {
        const stamp = { tsval: one.packet.tsval, sec: one.sec };
        stamps.set(one.saddr, stamp);
        if (!checked) expectRemembered(one.saddr, stamp, metrics);
        checked = true;
      } else closing.add(flow(one));
    }
  }
  return events;
}

/** Before it is sent again. */
function isAnswered(syn: Captured, later: Captured[]): boolean {
  const again = later.findIndex((one) => flow(one) === flow(syn) && isSyn(one));
  return later
    .slice(0, again < 0 ? later.length : again)
    .some(
      (one) =>
        flow(one) === flow(reverse(syn)) &&
        one.packet.flags === (TCP_FLAG.syn | TCP_FLAG.ack) &&
        one.packet.ack_seq === (syn.packet.seq + 1) >>> 0,
    );
}

/** Of a client that acknowledged nothing before. */
function isResetOfHandshake(rst: Captured, earlier: Captured[]): boolean {
  if (!(rst.packet.flags & TCP_FLAG.rst)) return false;
  const own = earlier.filter((one) => flow(one) === flow(rst));
  return own.length > 0 && own.every(isSyn);
}

function refused(syn: Captured, remembered: Remembered | undefined): Told {
  const stamp = remembered && {
    tsval: remembered.tsval,
    age_s: syn.sec - remembered.sec,
  };
  const mib = { paws_passive: 1, listen_drops: 1 };
  return { at: syn, event: synReceived(syn, KEY.refused, mib, stamp) };
}

function reset(rst: Captured): Told {
  const mib = { embryonic_rsts: 1, attempt_fails: 1 };
  return { at: rst, event: synReceived(rst, KEY.reset, mib) };
}

function synReceived(one: Captured, key: string, mib: Counters, remembered?: Json): Json {
  const { saddr, daddr, sport, dport, packet } = one;
  const ends = { saddr: addressBytes(saddr), daddr: addressBytes(daddr), sport, dport };
  const listener = {
    id: '1',
    flow: { saddr: addressBytes(daddr), daddr: addressBytes('0.0.0.0'), sport: dport, dport: 0 },
    state: TCP_STATE.LISTEN,
    previous_state: TCP_STATE.LISTEN,
    owner: {},
  };
  return {
    key,
    occurrences: 1,
    syn_received: { packet: { flow: ends, ...packet }, listener, mib, remembered },
  };
}

function expectCounted(events: Told[], { before, after }: { before: Counters; after: Counters }) {
  const told = { PAWSPassive: KEY.refused, ListenDrops: KEY.refused, EmbryonicRsts: KEY.reset };
  for (const [name, key] of Object.entries(told)) {
    const moved = (after[`TcpExt.${name}`] ?? 0) - (before[`TcpExt.${name}`] ?? 0);
    const seen = events.filter(({ event }) => event.key === key).length;
    if (seen !== moved) throw new Error(`${name} moved by ${moved}, the capture shows ${seen}`);
  }
}

/** `ip tcp_metrics` right after the first connection; without tw_ts nothing is remembered. */
function expectRemembered(address: string, { tsval }: Remembered, metrics: string): void {
  const line = metrics.split('\n').find((one) => one.startsWith(`${address} age `));
  const tw_ts = line?.match(/tw_ts (\d+)\//)?.[1];
  if (line === undefined || (tw_ts !== undefined && Number(tw_ts) !== tsval))
    throw new Error(`the server remembers ${tw_ts} of ${address}, the capture shows ${tsval}`);
}

function readCounters(netstat: string): Counters {
  const lines = netstat.trim().split('\n');
  const pairs = lines.flatMap((names, index) => {
    if (index % 2) return [];
    const [group = '', ...columns] = names.split(' ');
    const [, ...values] = lines[index + 1]?.split(' ') ?? [];
    return columns.map((name, at) => [`${group.replace(':', '.')}${name}`, Number(values[at])]);
  });
  return Object.fromEntries(pairs);
}

/** `init netns net.ipv4.tcp_tw_recycle = 1`: on 4.9 there is one for all namespaces. */
function readSysctls(text: string): Record<string, string> {
  const found = [...text.matchAll(/ (net\.\S+) = (\S+)$/gm)];
  return Object.fromEntries(
    found.map(([, name = '', value = '']) => [name.replaceAll('.', '/'), value]),
  );
}

function captured(segment: Passing): Captured {
  const { sec, nsec, key, side, seq, ack, has_timestamps } = segment;
  const { flags, window, payload_len, ttl, tsval, tsecr } = segment;
  const [from, to] = [endOfKey(key, side), endOfKey(key, otherSide(side))];
  return {
    ...{ sec, nsec, sport: portOf(from), dport: portOf(to) },
    saddr: addressText(addressOf(from)),
    daddr: addressText(addressOf(to)),
    packet: {
      ...{ seq, ack_seq: ack, flags, window, payload_len, ttl },
      ...{ has_timestamps: has_timestamps ? 1 : 0, tsval, tsecr },
    },
  };
}

function isSyn({ packet }: Captured): boolean {
  return (packet.flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === TCP_FLAG.syn;
}

function flow({ saddr, sport, daddr, dport }: Omit<Captured, 'packet'>): string {
  return `${saddr} ${sport} ${daddr} ${dport}`;
}

function reverse(one: Captured): Captured {
  const { saddr, sport, daddr, dport } = one;
  return { ...one, saddr: daddr, sport: dport, daddr: saddr, dport: sport };
}

function wall_ns({ sec, nsec }: Captured): bigint {
  return BigInt(sec) * 1_000_000_000n + BigInt(nsec);
}
