// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { causesIn, findingsIn, opened, pcap, type Row } from './captures.ts';

const CLIENT = '10.6.2.2:51136';
const PROXY = '10.7.3.3:8080';
const OTHER = '10.7.3.3:8443';
const FROM = '10.7.3.3:40000';
const UPSTREAM = '10.7.4.4:9000';

/** A client that has asked, and what the proxy does with it from then on. */
const asked = opened(CLIENT, PROXY);
const dial: Row = { at_ms: 1, from: FROM, to: UPSTREAM, flags: 'S', seq: 9000 };
const refusal: Row = { at_ms: 2, from: UPSTREAM, to: FROM, flags: 'R.', seq: 0, ack: 9001, win: 0 };
const reset: Row = { at_ms: 3, from: PROXY, to: CLIENT, flags: 'R.', seq: 5001, ack: 1101 };
const fin: Row = { ...reset, flags: 'F.' };
const answer: Row = { ...reset, at_ms: 2.5, flags: 'P.', len: 100 };
const REFUSED: Row[] = [...asked, dial, refusal, reset];

const sorted = (rows: readonly Row[]) => rows.toSorted((a, b) => a.at_ms - b.at_ms);
const shifted = (rows: readonly Row[], ms: number) =>
  rows.map((row) => ({ ...row, at_ms: row.at_ms + ms }));
const found = (rows: readonly Row[]) =>
  findingsIn(pcap(sorted(shifted(rows, 1000)))).find(
    ({ cause }) => cause === 'proxy-upstream-failed',
  );

/** One that the proxy has open to the service, and how the service ends it. */
const upstream = opened(FROM, UPSTREAM, { at_ms: 0.45, isn: 9000 });
const upstreamReset: Row = {
  ...{ at_ms: 2, from: UPSTREAM, to: FROM, flags: 'R.' },
  ...{ seq: 5001, ack: 9101 },
};

describe('a proxy that gives its client up', () => {
  test('is told of, where what it dialled for it was refused', () => {
    expect(causesIn(REFUSED)).toEqual({ 'proxy-upstream-failed': 1, 'connect-refused': 1 });
    expect(found(REFUSED)).toMatchObject({ basis: 'inferred', severity: 'error' });
    expect(found(REFUSED)?.evidence).toMatchObject({
      ...{ client: CLIENT, local: PROXY, upstream: UPSTREAM, upstream_from: FROM },
      ...{ upstream_error: 'ECONNREFUSED', upstream_cause: 'connect-refused' },
      ...{ failed_before_ms: 1, by_packets: true },
    });
  });

  test('is told of before its client has asked, where it dials at once', () => {
    const rows = [...asked.slice(0, 3), dial, refusal, { ...fin, ack: 1001 }];
    expect(found(rows)?.evidence).toMatchObject({ upstream: UPSTREAM });
  });

  test('is told of where it closes without an answer', () => {
    expect(found([...asked, dial, refusal, fin])?.evidence).toMatchObject({ closed: true });
    expect(found([...asked, dial, refusal, fin])?.summary).toContain('without an answer');
  });

  test('is told of where the service had reset the connection', () => {
    const rows = [...asked, ...upstream, upstreamReset, reset];
    expect(causesIn(sorted(rows))).toEqual({ 'proxy-upstream-failed': 1, 'reset-by-peer': 1 });
    expect(found(rows)).toMatchObject({ severity: 'warning' });
    expect(found(rows)?.evidence).toMatchObject({ upstream_was_open: true });
  });

  test('is told of where nothing answers', () => {
    const again = { ...dial, at_ms: 1001 };
    const rows = [...asked, dial, again, { ...reset, at_ms: 1700 }];
    expect(found(rows)?.evidence).toMatchObject({
      ...{ upstream: UPSTREAM, upstream_error: 'no answer', upstream_syn_retransmits: 1 },
    });
  });

  test('is told of where it tries the same end again, later', () => {
    const more = [dial, refusal].map((row) => ({ ...row, at_ms: row.at_ms + 1000 }));
    const later = more.map((row) =>
      row.flags === 'S' ? { ...row, from: '10.7.3.3:40001' } : { ...row, to: '10.7.3.3:40001' },
    );
    expect(found([...asked, dial, refusal, ...later, { ...reset, at_ms: 1003 }])).toBeDefined();
  });

  test('is told of once for each client', () => {
    const second = shifted(REFUSED, 500).map((row) => ({
      ...row,
      from: row.from.replace('51136', '51137').replace('40000', '40001'),
      to: row.to.replace('51136', '51137').replace('40000', '40001'),
    }));
    expect(found([...REFUSED, ...second])).toMatchObject({ count: 2 });
  });
});

/** It dials the same end, though nobody has asked. */
const ofItsOwn = shifted([dial, refusal], -900).map((row) => ({
  ...row,
  from: row.from.replace('40000', '39000'),
  to: row.to.replace('40000', '39000'),
}));
/** Another client of the host, that waits for an answer too. */
const others = (to: string) => opened('10.6.2.9:44444', to, { at_ms: 0.05 });

describe('nothing is said of a proxy, where', () => {
  test.each<[string, Row[]]>([
    ['nothing that it had dialled failed', [...asked, reset]],
    ['that was dialled by another host', REFUSED.map((row) => fromOther(row))],
    ['that was refused long before', shifted(REFUSED, 0).map((row) => later(row, reset, 200))],
    [
      'that was dialled long after it was asked',
      [...asked, ...shifted([dial, refusal, reset], 200)],
    ],
    ['that was dialled before it was asked', [...shifted([dial], -1.5), ...asked, refusal, reset]],
    ['it had answered', [...asked, dial, refusal, answer, { ...reset, seq: 5101 }]],
    ['its client had closed', [...asked, clientFin(), dial, refusal, { ...reset, ack: 1102 }]],
    ['another client waits for it', [...REFUSED, ...others(PROXY)]],
    ['another client of its host waits', [...REFUSED, ...others(OTHER)]],
    [
      'a client of its host that was there before asked too',
      [...REFUSED, ...others(OTHER).slice(3)],
    ],
    ['of another client of its host not all was seen', [...REFUSED, ...oneSided(OTHER)]],
    ['its host dials that end when nobody has asked', [...ofItsOwn, ...REFUSED]],
    ['it tried another end meanwhile', [...asked, dial, refusal, elsewhere(), reset]],
    ['a box on the way sent the reset', REFUSED.map((row) => later(row, reset, 0, 60))],
    [
      'a kernel without the connection sent it',
      REFUSED.map((row) => (row === reset ? { ...row, flags: 'R' } : row)),
    ],
    ['its connection began before the capture', REFUSED.slice(3)],
    ['a segment of it is missing', REFUSED.filter((row) => row.len !== 100)],
    ['the SYN of what it dialled is missing', [...asked, refusal, reset]],
    ['what it dialled was asked once only', [...asked, dial, { ...reset, at_ms: 700 }]],
    [
      'the service had answered before',
      [...asked, ...upstream, upstreamAnswer(), { ...upstreamReset, seq: 5011 }, reset],
    ],
    ['it only translates, and numbers stay', [...asked, ...translated(1000), upstreamReset, reset]],
    [
      'it completes handshakes for others, and dials with their numbers',
      [
        ...asked,
        ...opened(FROM, UPSTREAM, { at_ms: 0.45 }),
        { ...upstreamReset, ack: 1101 },
        reset,
      ],
    ],
    ['it only translates, and numbers too', [...asked, ...translated(9000), upstreamReset, reset]],
    ['two of its connections were reset', [...asked, ...upstream, upstreamReset, ...twin(), reset]],
  ])('%s', (_, rows) => {
    expect(found(rows)).toBeUndefined();
  });
});

function fromOther(row: Row): Row {
  const turn = (end: string) => (end === FROM ? '10.7.5.5:40000' : end);
  return { ...row, from: turn(row.from), to: turn(row.to) };
}

function later(row: Row, which: Row, ms: number, ttl = 64): Row {
  const { from, to, flags } = which;
  const same = row.from === from && row.to === to && row.flags === flags;
  return same ? { ...row, at_ms: row.at_ms + ms, ttl } : row;
}

function clientFin(): Row {
  return { at_ms: 0.6, from: CLIENT, to: PROXY, flags: 'F.', seq: 1101, ack: 5001 };
}

function elsewhere(): Row {
  return { ...dial, at_ms: 2.2, from: '10.7.3.3:40007', to: '10.7.4.5:9000' };
}

/** Of each segment only what the client sent. */
function oneSided(to: string): Row[] {
  return others(to).filter((row) => row.to === to);
}

function upstreamAnswer(): Row {
  return { ...upstreamReset, at_ms: 1.5, flags: 'P.', len: 10 };
}

/** The connection of its client, as it goes on from there. */
function translated(isn: number): Row[] {
  return opened(FROM, UPSTREAM, { at_ms: 0.02, isn });
}

function twin(): Row[] {
  const other = '10.7.3.3:40001';
  return [
    ...opened(other, UPSTREAM, { at_ms: 0.46, isn: 9000 }),
    { ...upstreamReset, at_ms: 2.1, to: other },
  ];
}
