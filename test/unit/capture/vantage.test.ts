// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { Capture } from '../../../src/capture/capture.ts';
import { ETHERNET, frameOf, opened, pcapOf, type Row } from './captures.ts';

const CLIENT = '10.4.26.45:40000';
const SERVER = '10.4.26.11:80';
const COOKED = 113;
const IP_AT = 14;

function takenAt(frames: readonly { at_ms: number; frame: Uint8Array }[], link = ETHERNET) {
  const capture = new Capture('x');
  capture.push(pcapOf(frames, link));
  return capture.taken_at;
}

const frames = (rows: readonly Row[]) =>
  rows.map((row) => ({ at_ms: row.at_ms, frame: frameOf(row) }));

/** As `-i any` has it: 0 came in for this host, 4 left it. */
function cooked(row: Row, type: number): { at_ms: number; frame: Buffer } {
  const head = Buffer.from('00000001000602000000000100000800', 'hex');
  head.writeUInt16BE(type, 0);
  return { at_ms: row.at_ms, frame: Buffer.concat([head, frameOf(row).subarray(IP_AT)]) };
}

test('by the direction of packets', () => {
  const at = (host: string) =>
    opened(CLIENT, SERVER).map((row) => cooked(row, row.from.startsWith(host) ? 4 : 0));
  expect(takenAt(at('10.4.26.45'), COOKED)).toEqual({ addresses: ['10.4.26.45'], by: 'direction' });
  expect(takenAt(at('10.4.26.11'), COOKED)).toEqual({ addresses: ['10.4.26.11'], by: 'direction' });
});

test('not where packets come in and leave again', () => {
  const passed = opened(CLIENT, SERVER).flatMap((row) => [
    cooked(row, 0),
    cooked({ ...row, at_ms: row.at_ms + 0.01 }, 4),
  ]);
  expect(takenAt(passed, COOKED)).toEqual({ addresses: [], by: null });
});

test('by a TTL that no router has lowered', () => {
  const far = (ttl: number, server_ttl: number) =>
    takenAt(frames(opened(CLIENT, SERVER, { ttl, server_ttl })));
  expect(far(64, 57)).toEqual({ addresses: ['10.4.26.45'], by: 'ttl' });
  expect(far(115, 64)).toEqual({ addresses: ['10.4.26.11'], by: 'ttl' });
  expect(far(60, 61)).toEqual({ addresses: [], by: null });
});

test('by the half of the handshake that took long', () => {
  const [syn, synAck, ack] = opened(CLIENT, SERVER) as [Row, Row, Row];
  const timed = (answer_ms: number, ack_ms: number) =>
    takenAt(frames([syn, { ...synAck, at_ms: answer_ms }, { ...ack, at_ms: ack_ms }]));
  expect(timed(20, 20.1)).toEqual({ addresses: ['10.4.26.45'], by: 'timing' });
  expect(timed(0.1, 20)).toEqual({ addresses: ['10.4.26.11'], by: 'timing' });
  expect(timed(10, 20)).toEqual({ addresses: [], by: null });
});

test('not where connections tell two hosts apart from one another', () => {
  const one = opened(CLIENT, SERVER, { ttl: 64, server_ttl: 57 });
  const other = opened('10.4.26.46:1', '10.4.26.45:80', { at_ms: 9, ttl: 64, server_ttl: 57 });
  expect(takenAt(frames([...one, ...other]))).toEqual({ addresses: [], by: null });
});

test('of a host with several addresses, those of most connections', () => {
  const rows = ['10.4.26.45', '10.4.27.45'].flatMap((host, at) =>
    opened(`${host}:4000`, SERVER, { at_ms: 9 * at, ttl: 64, server_ttl: 57 }),
  );
  expect(takenAt(frames(rows)).addresses.toSorted()).toEqual(['10.4.26.45', '10.4.27.45']);
});
