// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { findingsIn, opened, pcap, type Row } from './captures.ts';

const [CLIENT, SERVER] = ['10.4.26.45:40000', '10.4.26.11:80'];
const UP = { from: CLIENT, to: SERVER };
const DOWN = { from: SERVER, to: CLIENT };
const OPENED = opened(CLIENT, SERVER);
/** Of the server, after all of that. */
const RESET: Row = { ...DOWN, at_ms: 9, flags: 'R.', seq: 5001, ack: 1101 };
const OTHER_MAC = '02:00:00:00:00:99';

function only(rows: readonly Row[]) {
  const [finding, ...more] = findingsIn(pcap(rows));
  expect(more).toEqual([]);
  if (!finding) throw new Error('nothing was found');
  return finding;
}

describe('who sent what, in the letters of zeek', () => {
  const data = (at_ms: number, seq: number): Row => {
    return { ...UP, at_ms, flags: 'P.', seq, ack: 5001, len: 100 };
  };
  const ack = (at_ms: number, win = 512): Row => {
    return { ...DOWN, at_ms, flags: '.', seq: 5001, ack: 1101, win };
  };
  test.each<[string, string, Row[]]>([
    ['of an open connection', 'ShADar', [...OPENED, RESET]],
    [
      'data of both ends',
      'ShADadr',
      [
        ...OPENED,
        { ...DOWN, at_ms: 1, flags: 'P.', seq: 5001, ack: 1101, len: 7 },
        { ...UP, at_ms: 2, flags: '.', seq: 1101, ack: 5008 },
        { ...RESET, seq: 5008 },
      ],
    ],
    ['a SYN and a SYN-ACK sent again stand once', 'ShADar', twice([...OPENED, RESET], 2)],
    [
      'data sent again stands once, ten times, a hundred times',
      'ShADaTTTr',
      [
        ...OPENED,
        ...Array.from({ length: 100 }, (_, at) => [
          data(10 * at + 10, 1001),
          ack(10 * at + 11),
        ]).flat(),
        { ...RESET, at_ms: 2000 },
      ],
    ],
    ['a window of 0', 'ShADawr', [...OPENED, ack(1, 0), RESET]],
    ['a refusal', 'Sr', [OPENED[0] as Row, { ...RESET, at_ms: 1, seq: 0, ack: 1001 }]],
    [
      'a FIN, and data after it',
      'ShADafR',
      [
        ...OPENED,
        { ...DOWN, at_ms: 1, flags: 'F.', seq: 5001, ack: 1101 },
        { ...UP, at_ms: 2, flags: 'R.', seq: 1101, ack: 5002 },
      ],
    ],
  ])('%s', (_, history, rows) => {
    expect(only(rows).evidence.history).toBe(history);
  });

  test('it grows no further', () => {
    const syns = Array.from({ length: 50 }, (_, at): Row => {
      return { ...UP, at_ms: 10 + at, flags: 'S', seq: 90_000 + at };
    });
    const answer = { ...DOWN, at_ms: 60, flags: '.', seq: 5001, ack: 1101 };
    const [finding] = findingsIn(pcap([...OPENED, ...syns, answer]));
    expect(finding?.cause).toBe('syn-on-live-connection');
    expect(finding?.evidence.history).toBe(`ShADa${'S'.repeat(27)}+`);
  });
});

/** Those of a handshake sent again, each so much later. */
function twice(rows: readonly Row[], later_ms: number): Row[] {
  return rows.flatMap((row) => {
    const again = { ...row, at_ms: row.at_ms + 0.01, ip_id: later_ms };
    return row.flags.startsWith('S') ? [row, again] : [row];
  });
}

describe('who sent a reset', () => {
  const told = ({ evidence, summary }: ReturnType<typeof only>) => ({
    by_another: summary.includes('a box on the way sent it, or the path has changed'),
    mac: evidence.reset_mac ?? null,
    ttl: evidence.peer_ttl ?? evidence.handshake_ttl ?? null,
  });
  const [mac, ttl] = ['02:00:00:00:00:01', 64];

  test.each<[string, ReturnType<typeof told>, Row[]]>([
    ['the peer', { by_another: false, mac, ttl }, [...OPENED, RESET]],
    [
      'another device',
      { by_another: true, mac: OTHER_MAC, ttl },
      [...OPENED, { ...RESET, mac: OTHER_MAC }],
    ],
    [
      'one of several that had sent before',
      { by_another: false, mac: null, ttl },
      [
        ...OPENED,
        { ...(OPENED[4] as Row), at_ms: 1, mac: OTHER_MAC, ip_id: 2 },
        { ...RESET, mac: OTHER_MAC },
      ],
    ],
    [
      'the peer, whose segments are captured before and behind a router',
      { by_another: false, mac: null, ttl: null },
      [
        ...OPENED,
        { ...(OPENED[4] as Row), at_ms: 1, mac: OTHER_MAC, ttl: 63 },
        { ...RESET, mac: OTHER_MAC, ttl: 63 },
      ],
    ],
    ['something nearer', { by_another: true, mac, ttl }, [...OPENED, { ...RESET, ttl: 63 }]],
    [
      'the peer, whose path had changed before',
      { by_another: false, mac, ttl: 63 },
      [...OPENED, { ...(OPENED[4] as Row), at_ms: 1, ttl: 63, ip_id: 2 }, { ...RESET, ttl: 63 }],
    ],
  ])('of an open connection: %s', (_, expected, rows) => {
    const finding = only(rows);
    expect(finding.cause).toBe('reset-by-peer');
    expect(told(finding)).toEqual(expected);
  });

  test('captures of two hosts in one file, whose clocks are apart, say no other', () => {
    const rows = [...OPENED, { ...RESET, at_ms: 200 }];
    const elsewhere = (row: Row): Row => {
      const way = row.from === SERVER ? { ttl: 63, mac: OTHER_MAC } : { ttl: 63 };
      return { ...row, ...way, at_ms: row.at_ms + 50 };
    };
    for (const late of [
      rows.map(elsewhere),
      rows.map((row) => elsewhere({ ...row, at_ms: row.at_ms - 100 })),
    ]) {
      const both = [...rows, ...late].sort((a, b) => a.at_ms - b.at_ms);
      const first = both[0]?.at_ms ?? 0;
      const finding = only(both.map((row) => ({ ...row, at_ms: row.at_ms - first })));
      expect(finding.summary).toContain('sent by a closing process');
    }
  });

  const half = OPENED.slice(0, 2);
  const answer: Row = { ...UP, at_ms: 9, flags: 'R', seq: 1001, win: 0 };
  test.each<[string, ReturnType<typeof told>, Row]>([
    ['the client', { by_another: false, mac, ttl }, answer],
    ['another device', { by_another: true, mac: OTHER_MAC, ttl }, { ...answer, mac: OTHER_MAC }],
    ['something nearer', { by_another: true, mac, ttl }, { ...answer, ttl: 250 }],
  ])('that answers a SYN-ACK: %s', (_, expected, reset) => {
    const finding = only([...half, reset]);
    expect(finding.cause).toBe('request-reset');
    expect(told(finding)).toEqual(expected);
  });

  test('its IP id stands beside that of what came before, and says nothing', () => {
    const rows = [...OPENED, RESET].map((row, at) => ({ ...row, ip_id: 7 * at }));
    const { evidence, summary } = only(rows);
    expect([evidence.peer_ip_id, evidence.reset_ip_id]).toEqual([28, 35]);
    expect(summary).toBe(only([...OPENED, RESET]).summary);
  });

  test('one of IPv6 has none', () => {
    const [client, server] = ['[2001:db8::1]:40000', '[2001:db8::2]:80'];
    const reset = { ...RESET, from: server, to: client };
    const { evidence } = only([...opened(client, server), reset]);
    expect(evidence).not.toHaveProperty('reset_ip_id');
  });
});
