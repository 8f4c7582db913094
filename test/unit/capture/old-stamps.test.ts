// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { causesIn, findingsIn, pcap, type Row } from './captures.ts';

const up = { from: '10.4.26.45:35582', to: '10.4.26.234:80' };
const down = { from: up.to, to: up.from };

/** With the timestamp of who sends it, and of the other. */
const ts = (tsval: number, tsecr: number) => ({ timestamps: { tsval, tsecr } });

const OPENED: Row[] = [
  { at_ms: 0, ...up, flags: 'S', seq: 1000, ...ts(700_000, 0) },
  { at_ms: 0.1, ...down, flags: 'S.', seq: 5000, ack: 1001, ...ts(90, 700_000) },
  { at_ms: 0.2, ...up, flags: '.', seq: 1001, ack: 5001, ...ts(700_000, 90) },
  { at_ms: 0.3, ...up, flags: 'P.', seq: 1001, ack: 5001, len: 100, ...ts(700_001, 90) },
  { at_ms: 0.4, ...down, flags: '.', seq: 5001, ack: 1101, ...ts(91, 700_001) },
];

describe('new data with an old timestamp', () => {
  const old: Row = {
    ...{ at_ms: 9000, ...up, flags: 'P.', seq: 1101, ack: 5001, len: 40 },
    ...ts(1234, 91),
  };
  const answer: Row = {
    at_ms: 9000.1,
    ...down,
    flags: '.',
    seq: 5001,
    ack: 1101,
    ...ts(9091, 700_001),
  };

  test('is refused by an answer that asks for it again', () => {
    const [finding, ...others] = findingsIn(pcap([...OPENED, old, answer]));
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ cause: 'paws-established', count: 1, basis: 'direct' });
    expect(finding?.evidence).toMatchObject({
      ...{ peer: up.from, local: up.to, payload_bytes: 40 },
      ...{ tsval: 1234, last_tsval: 700_001, last_age_s: 9 },
    });
  });

  test('is refused each time that it is sent again', () => {
    const again = [old, answer].map((row) => ({ ...row, at_ms: row.at_ms + 400 }));
    expect(causesIn([...OPENED, old, answer, ...again])).toEqual({ 'paws-established': 2 });
  });

  test('is refused also where the handshake alone has told a newer one', () => {
    const first = { ...old, seq: 1001, ack: 5001, ...ts(1234, 90) };
    const asks = { ...answer, ack: 1001, ...ts(9091, 700_000) };
    // The server has to show that it is open: it speaks first.
    const hello: Row = {
      at_ms: 1,
      ...down,
      flags: 'P.',
      seq: 5001,
      ack: 1001,
      len: 20,
      ...ts(91, 700_000),
    };
    const heard: Row = { at_ms: 2, ...up, flags: '.', seq: 1001, ack: 5021, ...ts(700_000, 91) };
    const rows = [
      ...OPENED.slice(0, 3),
      hello,
      heard,
      { ...first, ack: 5021 },
      { ...asks, seq: 5021 },
    ];
    expect(causesIn(rows)).toEqual({ 'paws-established': 1 });
  });

  test.each<[string, Row[]]>([
    ['it is acknowledged', [old, { ...answer, ack: 1141 }]],
    ['nothing answers', [old]],
    ['the answer comes much later', [old, { ...answer, at_ms: 10_500 }]],
    ['the answer has no room', [old, { ...answer, win: 0 }]],
    ['the answer says something itself', [old, { ...answer, flags: 'P.', len: 10 }]],
    ['the answer has taken its timestamp', [old, { ...answer, ...ts(9091, 1234) }]],
    ['its timestamp is newer', [{ ...old, ...ts(800_000, 91) }, answer]],
    ['its timestamp is the same', [{ ...old, ...ts(700_001, 91) }, answer]],
    ['it was acknowledged before', [{ ...old, seq: 1001 }, answer]],
    ['something before it is missing', [{ ...old, seq: 1201 }, answer]],
    ['it has no data', [{ ...old, len: 0 }, answer]],
  ])('is not where %s', (_what, rows) => {
    expect(causesIn([...OPENED, ...rows])).toEqual({});
  });

  test('is not where something on the way writes timestamps: what comes back was never sent', () => {
    const rewritten = OPENED.map((row) =>
      row.from === down.from ? { ...row, ...ts(91, 800_000) } : row,
    );
    expect(causesIn([...rewritten, old, { ...answer, ...ts(9091, 800_000) }])).toEqual({});
  });
});

describe('a SYN for ports that are in TIME_WAIT', () => {
  /** The server closes first. */
  const CLOSED: Row[] = [
    ...OPENED,
    { at_ms: 10, ...down, flags: 'F.', seq: 5001, ack: 1101, ...ts(100, 700_001) },
    { at_ms: 11, ...up, flags: 'F.', seq: 1101, ack: 5002, ...ts(700_010, 100) },
    { at_ms: 11.1, ...down, flags: '.', seq: 5002, ack: 1102, ...ts(101, 700_010) },
  ];
  const syn: Row = { at_ms: 5000, ...up, flags: 'S', seq: 900_000, ...ts(4000, 0) };
  const kept: Row = {
    at_ms: 5000.1,
    ...down,
    flags: '.',
    seq: 5002,
    ack: 1102,
    ...ts(5100, 700_010),
  };
  /** The client does not know the connection, and its reset ends it: its SYN, sent again, is taken. */
  const THEN: Row[] = [
    { at_ms: 5000.2, ...up, flags: 'R', seq: 1102, win: 0 },
    { at_ms: 6000, ...up, flags: 'S', seq: 900_000, ...ts(5000, 0) },
    { at_ms: 6000.1, ...down, flags: 'S.', seq: 70_000, ack: 900_001, ...ts(6100, 5000) },
    { at_ms: 6000.2, ...up, flags: '.', seq: 900_001, ack: 70_001, ...ts(5000, 6100) },
  ];

  test('is refused where its timestamp is older', () => {
    const [finding, ...others] = findingsIn(pcap([...CLOSED, syn, kept]));
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ cause: 'timewait-paws', count: 1, basis: 'direct' });
    expect(finding?.evidence).toMatchObject({
      ...{ client: up.from, to: up.to },
      ...{ tsval: 4000, remembered_tsval: 700_010, timewait_age_s: 5 },
    });
  });

  test('is refused once, and then taken', () => {
    expect(causesIn([...CLOSED, syn, kept, ...THEN])).toEqual({ 'timewait-paws': 1 });
  });

  test('is followed when it is taken', () => {
    const reset: Row[] = [
      { at_ms: 6001, ...up, flags: 'P.', seq: 900_001, ack: 70_001, len: 10, ...ts(5001, 6100) },
      { at_ms: 6001.1, ...down, flags: '.', seq: 70_001, ack: 900_011, ...ts(6101, 5001) },
      { at_ms: 6002, ...down, flags: 'R.', seq: 70_001, ack: 900_011 },
    ];
    expect(causesIn([...CLOSED, syn, kept, ...THEN, ...reset])).toEqual({
      'timewait-paws': 1,
      'reset-by-peer': 1,
    });
  });

  test.each<[string, Row[]]>([
    ['it is taken at once', [{ ...kept, flags: 'S.', seq: 70_000, ack: 900_001 }]],
    ['its timestamp is newer', [{ ...syn, ...ts(700_500, 0) }, kept]],
    ['it has no timestamp', [(({ timestamps: _, ...bare }) => bare)(syn), kept]],
    ['the answer has other numbers', [syn, { ...kept, seq: 5003 }]],
    ['the answer echoes another timestamp', [syn, { ...kept, ...ts(5100, 700_001) }]],
    ['the answer comes much later', [syn, { ...kept, at_ms: 6500 }]],
    ['it is two minutes later', [syn, kept].map((row) => ({ ...row, at_ms: row.at_ms + 120_000 }))],
  ])('is not where %s', (_what, rows) => {
    expect(causesIn([...CLOSED, ...rows])).toEqual({});
  });

  test('is not where its client had closed first: the server may still wait for an ACK', () => {
    const client_first: Row[] = [
      ...OPENED,
      { at_ms: 10, ...up, flags: 'F.', seq: 1101, ack: 5001, ...ts(700_010, 91) },
      { at_ms: 10.1, ...down, flags: 'F.', seq: 5001, ack: 1102, ...ts(101, 700_010) },
      { at_ms: 10.2, ...up, flags: '.', seq: 1102, ack: 5002, ...ts(700_010, 101) },
    ];
    expect(causesIn([...client_first, syn, kept])).toEqual({});
  });
});
