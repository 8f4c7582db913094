// SPDX-License-Identifier: Apache-2.0
//
// What is read of packets, and what a connection knows of them, against tshark: captures of the lab, and
// traffic at random.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Connection } from '../../../src/capture/connection.ts';
import { addressOf, endOfKey, portOf } from '../../../src/capture/ends.ts';
import { Kept, type Segment, Segments } from '../../../src/capture/segment.ts';
import { captureReader } from '../../../src/native/capture.ts';
import { addressText } from '../../../src/tcp/address.ts';
import { TCP_FLAG } from '../../../src/tcp/flags.ts';
import { endOf } from '../../../src/tcp/sequence.ts';
import { bytesWithTshark, HAS_TSHARK } from '../sinks/export/tshark.ts';
import { pcap, type Row } from './captures.ts';

const CAPTURES = join(import.meta.dirname, '../../captures');
const CONNECTIONS = 300;

const READ = {
  'tcp.srcport': (segment: Segment) => portOf(endOfKey(segment.key, segment.side)),
  'tcp.dstport': (segment: Segment) => portOf(endOfKey(segment.key, segment.side === 0 ? 1 : 0)),
  'tcp.seq': ({ seq }: Segment) => seq,
  'tcp.ack': ({ ack }: Segment) => ack,
  'tcp.len': ({ payload_len }: Segment) => payload_len,
  'tcp.window_size_value': ({ window }: Segment) => window,
  'tcp.options.timestamp.tsval': ({ has_timestamps, tsval }: Segment) =>
    has_timestamps ? tsval : '',
  'tcp.options.timestamp.tsecr': ({ has_timestamps, tsecr }: Segment) =>
    has_timestamps ? tsecr : '',
  'tcp.options.wscale.shift': ({ scale }: Segment) => scale ?? '',
};

describe.skipIf(!HAS_TSHARK)('as tshark reads it (tools/setup installs it)', () => {
  test.each(readdirSync(CAPTURES).filter((name) => name.endsWith('.pcap')))('%s', (name) => {
    sameFields(readFileSync(join(CAPTURES, name)));
  });

  test('traffic at random: what was sent again, shut windows, and what was acknowledged and not seen', () => {
    const compared = { again: 0, shut: 0, unseen: 0 };
    const bytes = pcap(Array.from({ length: CONNECTIONS }, (_, at) => trafficOf(at + 1)).flat());
    sameFields(bytes);
    const facts = factsOf(segmentsIn(bytes));
    expect(facts).toEqual(analysisOf(bytes));
    for (const fact of facts)
      for (const name of ['again', 'shut', 'unseen'] as const) compared[name] += Number(fact[name]);
    for (const [name, count] of Object.entries(compared))
      expect([name, count > CONNECTIONS / 4]).toEqual([name, true]);
  });
});

function segmentsIn(bytes: Buffer): Segment[] {
  const segments: Segment[] = [];
  const reader = new Segments(captureReader([]));
  reader.give(bytes);
  reader.take((one) => segments.push(Kept.of(one)));
  return segments.filter(({ what }) => what === 'segment');
}

function sameFields(bytes: Buffer): void {
  const fields = Object.keys(READ);
  const read = bytesWithTshark(bytes, [...fields, 'tcp.flags', 'ip.src', 'icmp.type']);
  const theirs = read.filter((row) => row['tcp.seq'] !== '' && row['icmp.type'] === '');
  const ours = segmentsIn(bytes);
  expect(ours.length).toBe(theirs.length);
  for (const [at, segment] of ours.entries()) {
    const row = theirs[at] ?? {};
    const own = Object.fromEntries(
      Object.entries(READ).map(([name, of]) => [name, String(of(segment))]),
    );
    const source = addressText(addressOf(endOfKey(segment.key, segment.side)));
    expect({ at, ...own, src: source, flags: segment.flags & 0x3f }).toEqual({
      at,
      ...Object.fromEntries(fields.map((name) => [name, row[name]])),
      src: row['ip.src'],
      flags: Number(row['tcp.flags']) & 0x3f,
    });
  }
}

/** What a segment is to the connection that it is of. */
interface Fact {
  /** All of its data had been sent before. */
  again: boolean;
  shut: boolean;
  /** It acknowledges what was not seen. */
  unseen: boolean;
}

const NO_FACT: Fact = { again: false, shut: false, unseen: false };

/** As the connection has it. */
function factsOf(segments: readonly Segment[]): Fact[] {
  const connections = new Map<string, Connection>();
  return segments.map((segment) => {
    const { key, side, seq, flags, payload_len, scale } = segment;
    const connection = connections.get(key) ?? new Connection(segment, 0);
    connections.set(key, connection);
    const me = connection.end(side);
    if (flags & TCP_FLAG.syn) {
      me.isn = seq;
      me.next = endOf(segment);
      me.scale = scale;
      return NO_FACT;
    }
    if (flags & TCP_FLAG.rst) return NO_FACT;
    const next = me.next;
    const was_torn = connection.torn;
    connection.follow(segment, 0);
    return {
      again: payload_len > 0 && me.next === next,
      shut: me.window === 0,
      unseen: connection.torn && !was_torn,
    };
  });
}

const ANALYSED = ['retransmission', 'fast_retransmission', 'spurious_retransmission'];

function analysisOf(bytes: Buffer): Fact[] {
  const [again, shut, unseen] = [
    ANALYSED.map((name) => `tcp.analysis.${name}`),
    'tcp.analysis.zero_window',
    'tcp.analysis.ack_lost_segment',
  ] as const;
  return bytesWithTshark(bytes, [...again, shut, unseen]).map((row) => ({
    again: again.some((name) => row[name] !== ''),
    shut: row[shut] !== '',
    unseen: row[unseen] !== '',
  }));
}

/**
 * A connection of which segments are sent again and again, between hosts that read now and then. Of two bytes at
 * least: of one tshark takes what is sent again for a probe.
 */
function trafficOf(seed: number): Row[] {
  const next = numbers(seed);
  const random = (below: number) => Math.floor(next() * below);
  const six = random(2) === 1;
  const port = 40_000 + seed;
  const names = six
    ? [`[2001:db8::1]:${port}`, '[2001:db8::2]:80']
    : [`10.0.0.1:${port}`, '10.0.0.2:80'];
  const ends = names.map((name) => ({ name, seq: random(2 ** 32), sent: [] as Row[] }));
  const scale = random(8);
  const timestamps = random(2) === 1;
  let at_ms = seed * 10_000;
  const rows: Row[] = [];
  const send = (side: number, flags: string, len = 0, more: Partial<Row> = {}) => {
    const [me, peer] = [ends[side], ends[1 - side]];
    if (!me || !peer) throw new Error('no such end');
    at_ms += 40 + random(20);
    const row: Row = {
      ...{ at_ms, from: me.name, to: peer.name, flags, seq: me.seq, len, win: 1 + random(60_000) },
      ...(flags !== 'S' && { ack: peer.seq }),
      ...(timestamps && { timestamps: { tsval: Math.floor(at_ms), tsecr: 7 } }),
      ...more,
    };
    rows.push(row);
    if (len > 0) me.sent.push(row);
    me.seq = (me.seq + len + (flags.startsWith('S') ? 1 : 0)) >>> 0;
  };
  const option = { options: Uint8Array.of(3, 3, scale, 1) };
  send(0, 'S', 0, option);
  send(1, 'S.', 0, option);
  send(0, '.');
  for (let step = 0; step < 40; step++) {
    const side = random(2);
    const old = ends[side]?.sent.at(-1 - random(3));
    const kind = random(8);
    if (kind === 0 && old) {
      at_ms += 300;
      rows.push({ ...old, at_ms, ack: ends[1 - side]?.seq ?? 0 });
    } else if (kind === 1) send(side, '.', 0, { win: 0 });
    else if (kind < 5) send(side, 'P.', 2 + random(1400));
    else send(side, '.');
  }
  const side = random(2);
  if (random(2) === 0) send(side, '.', 0, { ack: ((ends[1 - side]?.seq ?? 0) + 1000) >>> 0 });
  else send(side, 'R.');
  return rows;
}

/** The same numbers each time. */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
