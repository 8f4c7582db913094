// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { Capture } from '../../../src/capture/capture.ts';
import { segmentBytes } from '../../../src/native/capture.ts';
import {
  BEGAN_S,
  ETHERNET,
  findingsIn,
  frameOf,
  opened,
  pcap,
  pcapOf,
  type Row,
} from './captures.ts';

const CLIENT = '10.4.26.45:35582';
const SERVER = '10.4.26.234:80';
const up = { from: CLIENT, to: SERVER };
const down = { from: SERVER, to: CLIENT };

/** Two failures, the second of which needs its options. */
const ROWS: Row[] = [
  { at_ms: 0, ...up, flags: 'S', seq: 1000 },
  { at_ms: 0.1, ...down, flags: 'R.', seq: 0, ack: 1001, win: 0 },
  ...opened('10.141.16.7:40000', '10.112.61.163:3269', { at_ms: 50 }).map((row) =>
    row.to.startsWith('10.112')
      ? { ...row, toa: { kind: 254, address: '10.112.61.10', port: 61_902 } }
      : row,
  ),
];
const SIX: Row[] = [
  { at_ms: 0, from: '[2001:db8::1]:40000', to: '[2001:db8::2]:80', flags: 'S', seq: 1000 },
  { at_ms: 1, from: '[2001:db8::2]:80', to: '[2001:db8::1]:40000', flags: 'R.', seq: 0, ack: 1001 },
];

const EXPECTED = findingsIn(pcap(ROWS));
const IP_AT = 14;

const frames = (rows: readonly Row[] = ROWS) =>
  rows.map((row) => ({ at_ms: row.at_ms, frame: frameOf(row) }));
const changed = (change: (frame: Buffer) => Buffer, rows?: readonly Row[]) =>
  frames(rows).map(({ at_ms, frame }) => ({ at_ms, frame: change(frame) }));
const ip = (frame: Buffer) => frame.subarray(IP_AT);
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

test('what it is compared with is two findings', () => {
  expect(EXPECTED.map(({ cause }) => cause).sort()).toEqual(['connect-refused', 'peer-rewritten']);
  expect(segmentBytes()).toBe(144);
});

describe('a kind of link', () => {
  const cooked = hex('0000 0001 0006 020000000001 0000 0800');
  const cooked2 = hex('0800 0000 00000002 0001 00 06 020000000001 0000');
  test.each<[string, number, (frame: Buffer) => Buffer]>([
    ['VLAN', ETHERNET, (frame) => tagged(frame, '8100 0007')],
    ['VLAN in VLAN', ETHERNET, (frame) => tagged(frame, '88a8 0005 8100 0007')],
    ['PPPoE', ETHERNET, inPppoe],
    ['PPPoE in VLAN', ETHERNET, (frame) => tagged(inPppoe(frame), '8100 0007')],
    ['raw IP', 101, ip],
    ['raw IPv4', 228, ip],
    ['NULL', 0, (frame) => Buffer.concat([hex('02000000'), ip(frame)])],
    ['LOOP', 108, (frame) => Buffer.concat([hex('00000002'), ip(frame)])],
    ['cooked', 113, (frame) => Buffer.concat([cooked, ip(frame)])],
    ['cooked, version 2', 276, (frame) => Buffer.concat([cooked2, ip(frame)])],
  ])('%s', (_, link, change) => {
    expect(findingsIn(pcapOf(changed(change), link))).toEqual(EXPECTED);
  });

  test('that is not read is counted', () => {
    const capture = new Capture('x');
    capture.push(pcapOf(frames(), 147));
    expect(capture.segments).toBe(0);
    expect(capture.unknown_link).toBe(147);
  });
});

/** Of session 7. */
function inPppoe(frame: Buffer): Buffer {
  const head = hex('8864 1100 0007 0000 0021');
  head.writeUInt16BE(ip(frame).length + 2, 6);
  return Buffer.concat([frame.subarray(0, 12), head, ip(frame)]);
}

/** Tags behind the addresses of the frame. */
function tagged(frame: Buffer, tags: string): Buffer {
  return Buffer.concat([frame.subarray(0, 12), hex(tags), frame.subarray(12)]);
}

test('IPv6, and extension headers', () => {
  const expected = findingsIn(pcap(SIX));
  expect(expected.map(({ cause }) => cause)).toEqual(['connect-refused']);
  const extended = (frame: Buffer) => {
    const head = Buffer.from(frame.subarray(0, IP_AT + 40));
    head.writeUInt8(0, IP_AT + 6);
    head.writeUInt16BE(head.readUInt16BE(IP_AT + 4) + 8, IP_AT + 4);
    // Hop-by-hop options, with padding.
    return Buffer.concat([head, hex('06 00 01 04 00000000'), frame.subarray(IP_AT + 40)]);
  };
  expect(findingsIn(pcapOf(changed(extended, SIX)))).toEqual(expected);
});

test('as much as is captured of a packet is enough', () => {
  const cut = frames().map(({ at_ms, frame }) => ({
    at_ms,
    frame: frame.subarray(0, 90),
    length: frame.length,
  }));
  expect(findingsIn(pcapOf(cut))).toEqual(EXPECTED);
});

describe('options that are cut off', () => {
  const [client, server] = ['10.4.26.45:40000', '10.4.26.11:80'];
  const [FIXED, MPTCP, TIMESTAMPS] = [54, hex('1e 0c 10 01 00000001 00000002'), hex('01 01')];
  const causes = (rows: readonly Row[], bytes = FIXED) =>
    findingsIn(pcapOf(frames(rows).map((one) => ({ ...one, ...cutTo(one.frame, bytes) })))).map(
      ({ cause, evidence }) => `${cause} ${evidence.sent_by ?? ''}`.trim(),
    );
  const cutTo = (frame: Buffer, bytes: number) => {
    return { frame: frame.subarray(0, bytes), length: frame.length };
  };
  const syn: Row = { at_ms: 0, from: client, to: server, flags: 'S', seq: 1000 };
  const refusal: Row = {
    ...{ at_ms: 1, from: server, to: client, flags: 'R.', seq: 0, ack: 1001, win: 0 },
  };

  test('a refusal that may be of MPTCP is none, another is', () => {
    expect(causes([syn, refusal])).toEqual(['connect-refused']);
    expect(
      causes([
        { ...syn, options: MPTCP },
        { ...refusal, options: hex('1e 04 80 00') },
      ]),
    ).toEqual([]);
    const longer = Buffer.concat([hex('02 04 05b4 01 03 03 07'), MPTCP, TIMESTAMPS, hex('0000')]);
    expect(causes([{ ...syn, options: longer }, refusal])).toEqual([]);
  });

  test('a reset with timestamps is of a process', () => {
    const stamp = { timestamps: { tsval: 7, tsecr: 8 } };
    const reset: Row = { ...refusal, at_ms: 9, seq: 5001, ack: 1101 };
    const rows = opened(client, server);
    expect(causes([...rows, { ...reset, ...stamp }])).toEqual(['reset-by-peer a closing process']);
    expect(causes([...rows, reset])).toEqual(['reset-by-peer a kernel without the socket']);
  });

  test('how large a window is that may be scaled is not known: a reset is not judged by it', () => {
    const scale = { options: hex('02 04 05b4 01 03 03 07') };
    const rows = opened(client, server).map((row) =>
      row.flags.startsWith('S') ? { ...row, ...scale } : row,
    );
    const reset: Row = { ...refusal, at_ms: 9, flags: 'R', seq: 9000, ack: 0 };
    const goes_on: Row = {
      ...refusal,
      at_ms: 10,
      flags: 'P.',
      seq: 5001,
      ack: 1101,
      len: 9,
      win: 512,
    };
    expect(causes([...rows, reset, goes_on], 90)).toEqual(['reset-rejected']);
    expect(causes([...rows, reset, goes_on])).toEqual([]);
  });
});

test('packets with less than their headers are counted, and nothing is made of them', () => {
  const capture = new Capture('x');
  capture.push(pcapOf(frames().map((one) => ({ ...one, frame: one.frame.subarray(0, 48) }))));
  expect(capture.segments).toBe(0);
});

test('big-endian, with nanoseconds', () => {
  expect(findingsIn(swapped(pcap(ROWS)))).toEqual(EXPECTED);
});

/** As a machine of the other byte order writes it. */
function swapped(bytes: Buffer): Buffer {
  const out = Buffer.from(bytes);
  const word = (at: number, factor = 1) => out.writeUInt32BE(out.readUInt32LE(at) * factor, at);
  for (const at of [8, 12, 16, 20]) word(at);
  out.writeUInt32BE(0xa1b23c4d, 0);
  for (const at of [4, 6]) out.writeUInt16BE(out.readUInt16LE(at), at);
  for (let at = 24; at < out.length; ) {
    const captured = out.readUInt32LE(at + 8);
    word(at);
    word(at + 4, 1000);
    word(at + 8);
    word(at + 12);
    at += 16 + captured;
  }
  return out;
}

describe('pcapng', () => {
  test.each([1, 13, 1 << 20])('in pieces of %d bytes', (bytes) => {
    expect(findingsIn(pcapng(frames()), bytes)).toEqual(EXPECTED);
  });

  test('with times in other units, and several interfaces and sections', () => {
    const [first = [], second = []] = [frames().slice(0, 2), frames().slice(2)];
    const both = Buffer.concat([pcapng(first, 9), pcapng(second, 7, 2)]);
    expect(findingsIn(both)).toEqual(EXPECTED);
  });

  test('what whoever captured had no room for is told', () => {
    const capture = new Capture('x');
    const statistics = block(5, u32(0), u32(0), u32(0), hex('0500 0800'), u32(77), u32(0), u32(0));
    const said = Buffer.from(capture.push(Buffer.concat([pcapng(frames()), statistics])));
    expect(said.includes('capture_dropped')).toBe(true);
  });
});

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};

function block(kind: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const padded = Buffer.concat([body, Buffer.alloc(-body.length & 3)]);
  const length = u32(padded.length + 12);
  return Buffer.concat([u32(kind), length, padded, length]);
}

/** The packets are of the last of so many interfaces; `digits`: of the part of a second. */
function pcapng(
  packets: readonly { at_ms: number; frame: Buffer }[],
  digits = 6,
  interfaces = 1,
): Buffer {
  const section = block(0x0a0d0d0a, u32(0x1a2b3c4d), u32(1), u32(0xffffffff), u32(0xffffffff));
  const resolution = Buffer.concat([hex('0900 0100'), Buffer.from([digits, 0, 0, 0]), u32(0)]);
  const one = block(1, u32(ETHERNET), u32(0), resolution);
  const bodies = packets.map(({ at_ms, frame }) => {
    const units =
      BigInt(BEGAN_S) * 10n ** BigInt(digits) +
      (BigInt(Math.round(at_ms * 1000)) * 10n ** BigInt(digits)) / 1_000_000n;
    const time = [u32(Number(units >> 32n)), u32(Number(units & 0xffffffffn))];
    return block(6, u32(interfaces - 1), ...time, u32(frame.length), u32(frame.length), frame);
  });
  return Buffer.concat([section, ...Array(interfaces).fill(one), ...bodies]);
}

describe('an ICMP error', () => {
  const syn: Row = { at_ms: 0, ...up, flags: 'S', seq: 1000 };
  const unreachable = (at_ms: number) => ({ at_ms, frame: icmp(frameOf(syn)) });
  const later = frameOf({ ...syn, from: '10.4.26.45:1', at_ms: 0 });

  test('that nothing comes after ends a connect', () => {
    const [finding, ...others] = findingsIn(
      pcapOf([...frames([syn]), unreachable(1), { at_ms: 1600, frame: later }]),
    );
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ cause: 'icmp-unreachable', count: 1 });
    expect(finding?.evidence).toMatchObject({ icmp_from: '10.4.26.1', error: 'EHOSTUNREACH' });
  });

  test('does not where the SYN is sent again', () => {
    const again = { at_ms: 1000, frame: frameOf(syn) };
    expect(
      findingsIn(pcapOf([...frames([syn]), unreachable(1), again, { at_ms: 1600, frame: later }])),
    ).toEqual([]);
  });

  test('does not where it is about another segment', () => {
    const other = { at_ms: 1, frame: icmp(frameOf({ ...syn, seq: 7 })) };
    expect(findingsIn(pcapOf([...frames([syn]), other, { at_ms: 1600, frame: later }]))).toEqual(
      [],
    );
  });
});

/** A router says that it does not get there: 28 bytes of what it quotes. */
function icmp(quoted: Buffer): Buffer {
  const head = Buffer.from(quoted.subarray(0, IP_AT + 20));
  const body = quoted.subarray(IP_AT, IP_AT + 28);
  head.writeUInt16BE(20 + 8 + body.length, IP_AT + 2);
  head.writeUInt8(1, IP_AT + 9);
  head.set(quoted.subarray(IP_AT + 12, IP_AT + 16), IP_AT + 16);
  head.set([10, 4, 26, 1], IP_AT + 12);
  return Buffer.concat([head, hex('03 01 0000 00000000'), body]);
}
