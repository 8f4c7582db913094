// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { Capture } from '../../../src/capture/capture.ts';
import { findingsIn, frameOf, opened, pcap, pcapOf, type Row } from './captures.ts';

const CLIENT = '10.4.26.45:35582';
const SERVER = '10.4.26.234:80';
const ROWS: Row[] = [
  { at_ms: 0, from: CLIENT, to: SERVER, flags: 'S', seq: 1000 },
  { at_ms: 0.1, from: SERVER, to: CLIENT, flags: 'R.', seq: 0, ack: 1001, win: 0 },
  ...opened('10.141.16.7:40000', '10.112.61.163:3269', { at_ms: 50 }).map((row) =>
    row.to.startsWith('10.112')
      ? { ...row, toa: { kind: 254, address: '10.112.61.10', port: 61_902 } }
      : row,
  ),
];
const EXPECTED = findingsIn(pcap(ROWS));
const IP_AT = 14;

const frames = () => ROWS.map((row) => ({ at_ms: row.at_ms, frame: frameOf(row) }));
const changed = (change: (frame: Buffer) => Buffer) =>
  frames().map(({ at_ms, frame }) => ({ at_ms, frame: change(frame) }));
const ip = (frame: Buffer) => frame.subarray(IP_AT);
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const tagged = (frame: Buffer) =>
  Buffer.concat([frame.subarray(0, 12), hex('8100 0007'), frame.subarray(12)]);

test('what it is compared with is two findings', () => {
  expect(EXPECTED.map(({ cause }) => cause).sort()).toEqual(['connect-refused', 'peer-rewritten']);
});

const VXLAN = '08000000 00000700';
const GENEVE = '01006558 00000700 0103 0001 '.replaceAll(' ', '');
test.each<[string, (frame: Buffer) => Buffer]>([
  ['IP in IP', (frame) => outer(4, ip(frame))],
  ['GRE', (frame) => outer(47, hex('0000 0800'), ip(frame))],
  [
    'GRE with checksum, key and number',
    (frame) => outer(47, hex('b000 0800 00000000 00000007 00000001'), ip(frame)),
  ],
  ['GRE of frames', (frame) => outer(47, hex('0000 6558'), frame)],
  ['ERSPAN I', (frame) => outer(47, hex('0000 88be'), frame)],
  ['ERSPAN II', (frame) => outer(47, hex('1000 88be 00000001 1001006400000000'), frame)],
  ['ERSPAN III', (frame) => outer(47, hex('1000 22eb 00000001 200100640000000000000000'), frame)],
  ['VXLAN', (frame) => outer(17, udp(4789, frame.length + 8), hex(VXLAN), frame)],
  ['VXLAN of flannel', (frame) => outer(17, udp(8472, frame.length + 8), hex(VXLAN), frame)],
  ['Geneve', (frame) => outer(17, udp(6081, frame.length + 12), hex(GENEVE), frame)],
  ['GRE in VLAN', (frame) => tagged(outer(47, hex('0000 0800'), ip(frame)))],
  [
    'IP in IP in VXLAN',
    (frame) => {
      const inner = outer(4, ip(frame));
      return outer(17, udp(4789, inner.length + 8), hex(VXLAN), inner);
    },
  ],
])('%s', (_, change) => {
  expect(findingsIn(pcapOf(changed(change)))).toEqual(EXPECTED);
});

test('and once more outside of it, where it is one', () => {
  const both = frames().flatMap(({ at_ms, frame }) => [
    { at_ms, frame },
    { at_ms, frame: outer(17, udp(4789, frame.length + 8), hex(VXLAN), frame) },
  ]);
  expect(findingsIn(pcapOf(both))).toEqual(EXPECTED);
});

test('the frame of another port, or without the number of a network, is not read', () => {
  const at = (port: number, head: string) =>
    changed((frame) => outer(17, udp(port, frame.length + 8), hex(head), frame));
  expect(findingsIn(pcapOf(at(4790, VXLAN)))).toEqual([]);
  expect(findingsIn(pcapOf(at(4789, '00000000 00000700')))).toEqual([]);
});

test('cut anywhere it harms nothing, and is counted once it is whole', () => {
  const [one] = changed((frame) => {
    const inner = outer(47, hex('b000 6558 00000000 00000007 00000001'), frame);
    return outer(17, udp(6081, inner.length + 12), hex(GENEVE), inner);
  });
  const { at_ms = 0, frame = Buffer.alloc(0) } = one ?? {};
  const lengths = Array.from(frame, (_, length) => length);
  const capture = new Capture('x');
  capture.push(pcapOf(lengths.map((length) => ({ at_ms, frame: frame.subarray(0, length) }))));
  capture.end(false);
  expect(capture.segments).toBe(0);
  const full = new Capture('x');
  full.push(pcapOf([{ at_ms, frame }]));
  full.end(false);
  expect(full.segments).toBe(1);
});

/** What one end of a tunnel sends the other. */
function outer(protocol: number, ...parts: Buffer[]): Buffer {
  const payload = Buffer.concat(parts);
  const head = hex(
    '020000000002 020000000001 0800 4500 0000 0000 4000 40 00 0000 ac100001 ac100002',
  );
  head.writeUInt16BE(payload.length + 20, IP_AT + 2);
  head.writeUInt8(protocol, IP_AT + 9);
  return Buffer.concat([head, payload]);
}

function udp(port: number, length: number): Buffer {
  const head = hex('c000 0000 0000 0000');
  head.writeUInt16BE(port, 2);
  head.writeUInt16BE(length + 8, 4);
  return head;
}
