// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { causesIn, findingsIn, opened, pcap, type Row } from './captures.ts';

const CLIENT = '10.4.26.45:35582';
const SERVER = '10.4.26.234:80';

const up = { from: CLIENT, to: SERVER };
const down = { from: SERVER, to: CLIENT };

/** Length 12, subtype 1 (MP_JOIN) with its random number. */
const MP_JOIN = Uint8Array.from([30, 12, 0x10, 1, 0, 0, 0, 1, 0, 0, 0, 2]);

/** Failure 2 of those that tcpwhy exists to explain: a service whose answers come from the pod itself. */
const WRONG_SOURCE: Row[] = [0, 1042].flatMap((at_ms, turn) => {
  const pod = '10.4.26.11:80';
  const isn = turn === 0 ? 914_414_059 : 930_694_343;
  return [
    { at_ms, ...up, flags: 'S', seq: 853_654_705, win: 29_200 },
    {
      ...{ at_ms: at_ms + 0.154, from: pod, to: CLIENT, flags: 'S.' },
      ...{ seq: isn, ack: 853_654_706, win: 28_960 },
    },
    { at_ms: at_ms + 0.169, from: CLIENT, to: pod, flags: 'R', seq: 853_654_706, win: 0 },
  ];
});

/** Failure 3: a proxy that has no server behind it, as its client sees it. */
const PROXY: Row[] = [
  ...opened('10.6.2.2:51136', '10.7.3.3:8080', { isn: 1_658_620_893, server_isn: 2_918_345_428 }),
  {
    ...{ at_ms: 0.97, from: '10.7.3.3:8080', to: '10.6.2.2:51136', flags: 'R.', win: 227 },
    ...{ seq: 2_918_345_429, ack: 1_658_620_994 },
  },
];

/** Failure 1: a reset by the balancer that carries the numbers of the direct connection. */
const CROSSED: Row[] = [
  ...opened('10.112.61.10:61902', '10.112.61.163:3269'),
  ...opened('10.112.61.10:61902', '10.141.16.0:3306', {
    at_ms: 50,
    isn: 70_000,
    server_isn: 90_000,
  }),
  { at_ms: 90, from: '10.141.16.0:3306', to: '10.112.61.10:61902', flags: 'R', seq: 5001, win: 0 },
];

test('names who answered in place of whom was dialled', () => {
  const [finding, ...others] = findingsIn(pcap(WRONG_SOURCE));
  expect(others).toEqual([]);
  expect(finding).toMatchObject({ cause: 'synack-wrong-source', count: 2 });
  expect(finding?.evidence).toMatchObject({
    dialled: SERVER,
    answered_by: '10.4.26.11:80',
    client: CLIENT,
  });
});

test('says nothing of an answer from elsewhere that nobody resets', () => {
  expect(causesIn(WRONG_SOURCE.filter(({ flags }) => flags !== 'R'))).toEqual({});
});

test('says nothing of it where the answer is to another SYN', () => {
  const other = WRONG_SOURCE.map((row) => (row.flags === 'S.' ? { ...row, ack: 1 } : row));
  expect(causesIn(other)).toEqual({});
});

test('tells a reset of an open connection, and the shape of it', () => {
  const [finding, ...others] = findingsIn(pcap(PROXY));
  expect(others).toEqual([]);
  expect(finding).toMatchObject({ cause: 'reset-by-peer', count: 1 });
  expect(finding?.evidence).toMatchObject({
    peer: '10.7.3.3:8080',
    sent_by: 'a closing process',
    reset_window: 227,
  });
});

test('tells an answer that came on the wrong connection', () => {
  const [finding, ...others] = findingsIn(pcap(CROSSED));
  expect(others).toEqual([]);
  expect(finding).toMatchObject({ cause: 'crossed-reply', count: 1 });
  expect(finding?.evidence).toMatchObject({
    came_from: '10.141.16.0:3306',
    fits: '10.112.61.163:3269',
    came_on_open_connection: true,
  });
});

describe('a refused connect', () => {
  const REFUSED: Row[] = [
    { at_ms: 0, ...up, flags: 'S', seq: 1000 },
    { at_ms: 0.1, ...down, flags: 'R.', seq: 0, ack: 1001, win: 0 },
  ];

  test('is one', () => {
    expect(causesIn(REFUSED)).toEqual({ 'connect-refused': 1 });
  });

  test('is one in pieces of any size', () => {
    const whole = findingsIn(pcap(REFUSED));
    for (const bytes of [1, 7, 24, 40, 61]) expect(findingsIn(pcap(REFUSED), bytes)).toEqual(whole);
  });

  test.each<[string, Row[]]>([
    ['the SYN was not seen', REFUSED.slice(1)],
    ['it answers another SYN', [{ ...REFUSED[0], seq: 7 } as Row, REFUSED[1] as Row]],
    ['it was answered before', [...opened(CLIENT, SERVER).slice(0, 2), REFUSED[1] as Row]],
    [
      'a half-open connection was replaced by it',
      [
        ...opened(CLIENT, SERVER).slice(0, 2),
        { at_ms: 5, ...up, flags: 'S', seq: 2000 },
        { at_ms: 6, ...down, flags: 'R.', seq: 0, ack: 2001, win: 0 },
      ],
    ],
    [
      'it is a further connection of MPTCP',
      [{ ...REFUSED[0], options: MP_JOIN } as Row, REFUSED[1] as Row],
    ],
  ])('is none where %s', (_, rows) => {
    expect(causesIn(rows)).toEqual({});
  });
});

/** A connection that was closed by its server, and what came of that. */
const closedByServer = (data_ms: number): Row[] => [
  ...opened(CLIENT, SERVER),
  { at_ms: 10, ...down, flags: 'F.', seq: 5001, ack: 1101 },
  { at_ms: 10.1, ...up, flags: '.', seq: 1101, ack: 5002 },
  { at_ms: 10 + data_ms, ...up, flags: 'P.', seq: 1101, ack: 5002, len: 50 },
  { at_ms: 10.2 + data_ms, ...down, flags: 'R', seq: 5002, win: 0 },
];

test('tells data that came just after its receiver had closed', () => {
  expect(causesIn(closedByServer(100))).toEqual({ 'data-after-close': 1 });
});

test('says nothing where a box on the way may have forgotten the connection', () => {
  expect(causesIn(closedByServer(1500))).toEqual({});
});

test('says nothing of it where the clock was set back meanwhile: that may have been long after', () => {
  const rows = closedByServer(2000).map((row) => ({ ...row, at_ms: row.at_ms + 5000 }));
  const setBack = (row: Row) => (row.at_ms > 6000 ? { ...row, at_ms: row.at_ms - 4000 } : row);
  expect(causesIn(rows.map(setBack))).toEqual({});
});

test('says nothing of it where who had closed reads on', () => {
  const [syn, synAck, ack, data, acked, fin, finAck, ...rest] = closedByServer(100);
  const more: Row[] = [
    { at_ms: 20, ...up, flags: 'P.', seq: 1101, ack: 5002, len: 10 },
    { at_ms: 20.1, ...down, flags: '.', seq: 5002, ack: 1111 },
  ];
  const later = rest.map((row) => (row.flags === 'P.' ? { ...row, seq: 1111 } : row));
  const rows = [syn, synAck, ack, data, acked, fin, finAck, ...more, ...later] as Row[];
  expect(causesIn(rows)).toEqual({});
});

test('tells a client that resets our SYN-ACK', () => {
  const rows: Row[] = [
    ...opened(CLIENT, SERVER).slice(0, 2),
    { at_ms: 0.2, ...up, flags: 'R', seq: 1001, win: 0 },
  ];
  expect(causesIn(rows)).toEqual({ 'request-reset': 1 });
});

test('tells a SYN on a connection that is open still', () => {
  const rows: Row[] = [
    ...opened(CLIENT, SERVER),
    { at_ms: 500, ...up, flags: 'S', seq: 99_000 },
    { at_ms: 500.1, ...down, flags: '.', seq: 5001, ack: 1101 },
    { at_ms: 500.2, ...up, flags: 'R', seq: 1101, win: 0 },
  ];
  expect(causesIn(rows)).toEqual({ 'syn-on-live-connection': 1 });
});

describe('a reset with another number than what comes next', () => {
  const rows: Row[] = [
    ...opened(CLIENT, SERVER),
    { at_ms: 20, ...down, flags: 'R', seq: 5200, win: 0 },
    { at_ms: 20.1, ...up, flags: '.', seq: 1101, ack: 5001 },
  ];

  test('is told where its sender goes on', () => {
    const on: Row = { at_ms: 30, ...down, flags: 'P.', seq: 5001, ack: 1101, len: 10 };
    expect(causesIn([...rows, on])).toEqual({ 'reset-rejected': 1 });
  });

  test('is not where nothing more is seen', () => {
    expect(causesIn(rows)).toEqual({});
  });
});

test('tells a socket that is connected to itself', () => {
  const self = { from: CLIENT, to: CLIENT };
  const rows: Row[] = [
    { at_ms: 0, ...self, flags: 'S', seq: 1000 },
    { at_ms: 0.1, ...self, flags: 'S.', seq: 1000, ack: 1001 },
    { at_ms: 0.2, ...self, flags: '.', seq: 1001, ack: 1001 },
  ];
  expect(causesIn(rows)).toEqual({ 'self-connect': 1 });
});

describe('of an open connection nothing is said', () => {
  const reset: Row = { at_ms: 9, ...down, flags: 'R.', seq: 5001, ack: 1101 };

  test.each<[string, Row[]]>([
    ['where the capture begins in its middle', opened(CLIENT, SERVER).slice(3)],
    ['where its SYN is missing', opened(CLIENT, SERVER).slice(1)],
    [
      'where only one end was captured',
      opened(CLIENT, SERVER).filter(({ from }) => from === SERVER),
    ],
    ['where a segment is missing', opened(CLIENT, SERVER).filter((row) => row.len !== 100)],
    ['where its server never showed that it took it', opened(CLIENT, SERVER).slice(0, 4)],
    [
      'where whoever resets had waited for an answer',
      [
        ...opened(CLIENT, SERVER),
        { at_ms: 1, ...down, flags: 'P.', seq: 5001, ack: 1101, len: 10 },
        { at_ms: 300, ...down, flags: 'P.', seq: 5001, ack: 1101, len: 10 },
      ],
    ],
  ])('%s', (_, rows) => {
    const after = rows.some(({ at_ms }) => at_ms === 300)
      ? { ...reset, at_ms: 999, seq: 5011 }
      : reset;
    expect(causesIn([...rows, after])).toEqual({});
  });
});

describe('what a balancer tells in an option', () => {
  const server = '10.112.61.163:3269';
  const client = '10.112.61.10:61902';
  const toa = { kind: 254, address: '10.112.61.10', port: 61_902 };
  const direct = opened(client, server, { at_ms: 0 });
  const balanced = opened('10.141.16.7:40000', server, { at_ms: 50 }).map((row) =>
    row.to === server ? { ...row, toa } : row,
  );

  test('is another peer', () => {
    const [finding, ...others] = findingsIn(pcap(balanced));
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ cause: 'peer-rewritten', count: 1 });
    expect(finding?.evidence).toMatchObject({
      true_peer: '10.141.16.7:40000',
      shown_peer: client,
      rewriter: 'TCP option 254',
    });
  });

  test.each([
    ['before it', [...direct, ...balanced]],
    ['after it', [...balanced, ...direct.map((row) => ({ ...row, at_ms: row.at_ms + 100 }))]],
  ])('collides with the connection that its client had opened itself, %s', (_, rows) => {
    const found = findingsIn(pcap(rows));
    expect(found.map(({ cause, count }) => [cause, count]).sort()).toEqual([
      ['peer-collision', 1],
      ['peer-rewritten', 1],
    ]);
    expect(found.find(({ cause }) => cause === 'peer-collision')?.evidence).toMatchObject({
      local: server,
      shown_peer: client,
      other_true_peer: client,
    });
  });

  test('collides with none that has ended', () => {
    const end: Row = { at_ms: 10, from: client, to: server, flags: 'R.', seq: 1101, ack: 5001 };
    expect(causesIn([...direct, end, ...balanced])).toEqual({
      'peer-rewritten': 1,
      'reset-by-peer': 1,
    });
  });
});

describe('SYNs that are older than the last stamp of their address', () => {
  const CLOCK = 2_088_983_548;
  const OTHER = [271_344_470, 271_345_544, 271_346_612, 271_348_509, 271_351_766];
  const server = '10.88.0.2:8080';
  const stamped = (rows: Row[], tsval: number) =>
    rows.map((row) => ({ ...row, timestamps: { tsval, tsecr: 0 } }));
  const syn = (port: number, at_ms: number, tsval: number): Row => ({
    ...{ at_ms, from: `100.64.0.1:${port}`, to: server, flags: 'S', seq: 1000 * port },
    timestamps: { tsval, tsecr: 0 },
  });
  const answer = ({ at_ms, from, seq }: Row): Row => ({
    ...{ at_ms: at_ms + 0.1, from: server, to: from, flags: 'S.', seq: 7, ack: seq + 1 },
    timestamps: { tsval: 1, tsecr: 0 },
  });
  const client = '100.64.0.1:40000';
  const first = stamped(
    [
      ...opened(client, server),
      { at_ms: 1, from: server, to: client, flags: 'F.', seq: 5001, ack: 1101 },
      { at_ms: 2, from: client, to: server, flags: 'F.', seq: 1101, ack: 5002 },
      { at_ms: 3, from: server, to: client, flags: '.', seq: 5002, ack: 1102 },
    ],
    CLOCK,
  );
  const older = OTHER.map((tsval, at) => syn(40_001 + at, 1000 + 1200 * at, tsval));
  const newer = syn(40_100, 10_000, CLOCK + 10_005);

  test('are refused, where just those are not answered', () => {
    const [finding, ...others] = findingsIn(pcap([...first, ...older, newer, answer(newer)]));
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ cause: 'paws-passive', count: 5, basis: 'inferred' });
    expect(finding?.evidence).toMatchObject({ remembered_tsval: CLOCK });
  });

  test.each<[string, Row[]]>([
    ['a newer one is not answered either', [...older, newer]],
    [
      'an older one is answered',
      [...older, syn(40_050, 8000, OTHER[0] ?? 0)].flatMap((row) =>
        row.at_ms === 8000 ? [row, answer(row), newer, answer(newer)] : [row],
      ),
    ],
    ['there are two', [...older.slice(0, 2), newer, answer(newer)]],
    [
      'it is a minute later',
      [...older, newer, answer(newer)].map((row) => ({ ...row, at_ms: row.at_ms + 70_000 })),
    ],
  ])('are not said to be, where %s', (_, rows) => {
    expect(causesIn([...first, ...rows])).toEqual({});
  });
});

describe('a SYN that nothing answers', () => {
  const syns = [0, 1000, 3000].map((at_ms): Row => ({ at_ms, ...up, flags: 'S', seq: 1000 }));
  const evidence = (rows: Row[]) => findingsIn(pcap(rows))[0]?.evidence;

  test('is told once, with what may be why', () => {
    const more: Row = { at_ms: 7000, ...up, flags: 'S', seq: 1000 };
    expect(causesIn([...syns, more])).toEqual({ 'syn-unanswered': 1 });
    expect(evidence(syns)).toMatchObject({ syns_sent: 3, waited_ms: 3000, heard_of_it: false });
  });

  test('has how many others were answered meanwhile', () => {
    const others = [500, 600].flatMap((at_ms, at) =>
      opened(`10.4.26.46:${40_000 + at}`, SERVER, { at_ms }),
    );
    const before = opened('10.4.26.46:39000', SERVER, { at_ms: -100 });
    const rows = [...before, ...syns, ...others].toSorted((a, b) => a.at_ms - b.at_ms);
    const late = rows.map((row) => ({ ...row, at_ms: row.at_ms + 200 }));
    expect(evidence(late)).toMatchObject({ others_answered: 2, heard_of_it: true });
  });

  test('is told where it was given up', () => {
    const later = opened('10.4.26.47:40000', '10.4.26.48:80', { at_ms: 4100 });
    expect(causesIn([...syns.slice(0, 2), ...later])).toEqual({ 'syn-unanswered': 1 });
  });

  test('has that its timestamp is an older one', () => {
    const client = '10.4.26.45:39000';
    const closed: Row[] = [
      ...opened(client, SERVER, { at_ms: 0 }),
      { at_ms: 1, from: SERVER, to: client, flags: 'F.', seq: 5001, ack: 1101 },
      { at_ms: 2, from: client, to: SERVER, flags: 'F.', seq: 1101, ack: 5002 },
      { at_ms: 3, from: SERVER, to: client, flags: '.', seq: 5002, ack: 1102 },
    ].map((row) => ({ ...row, timestamps: { tsval: 9000, tsecr: 0 } }));
    const stamped = (tsval: number) =>
      syns.map((row) => ({ ...row, at_ms: row.at_ms + 100, timestamps: { tsval, tsecr: 0 } }));
    expect(evidence([...closed, ...stamped(500)])).toMatchObject({ older_stamp: true });
    expect(evidence([...closed, ...stamped(9500)])).toMatchObject({ older_stamp: null });
  });

  test.each<[string, Row[]]>([
    ['there are two', syns.slice(0, 2)],
    [
      'an answer came to the last',
      [...syns, { at_ms: 3100, ...down, flags: 'S.', seq: 5, ack: 1001 }],
    ],
    ['they come at once', syns.map((row) => ({ ...row, at_ms: row.at_ms / 10 }))],
    ['each is another connect', syns.map((row, at) => ({ ...row, seq: 1000 + at }))],
    ['an answer came late', [...syns, { at_ms: 2900, ...down, flags: 'S.', seq: 5, ack: 1001 }]],
  ])('is not told where %s', (_, rows) => {
    expect(causesIn(rows.toSorted((a, b) => a.at_ms - b.at_ms))).toEqual({});
  });
});

describe('what an open connection sends, and nothing answers', () => {
  const at = [300, 500, 900, 1700, 3300];
  const sent = at.map(
    (at_ms): Row => ({ at_ms, ...up, flags: 'P.', seq: 1101, ack: 5001, len: 700 }),
  );
  const probes = at.map((at_ms): Row => ({ at_ms, ...up, flags: '.', seq: 1100, ack: 5001 }));
  const reset: Row = { at_ms: 4000, ...up, flags: 'R.', seq: 1101, ack: 5001 };
  const evidence = (rows: Row[]) =>
    findingsIn(pcap([...opened(CLIENT, SERVER), ...rows]))[0]?.evidence;

  test('is told once, with what may be why', () => {
    const more: Row = { ...(sent[0] as Row), at_ms: 6500 };
    const rows = [...opened(CLIENT, SERVER), ...sent, more, { ...more, at_ms: 13_000 }];
    expect(causesIn(rows)).toEqual({ 'data-unanswered': 1 });
    expect(evidence(sent)).toMatchObject({ sent_again: 4, waited_ms: 3000, longest_yet: true });
  });

  test('is told of probes, and of who gives up after two', () => {
    expect(evidence(probes)).toMatchObject({ sent_again: 5, probes: true, longest_yet: null });
    expect(evidence([...probes.slice(2, 4), { ...reset, at_ms: 2500 }])).toBeUndefined();
    const last = [...probes.slice(3), reset];
    expect(evidence(last)).toMatchObject({ sent_again: 2, gave_up: true });
  });

  const answer: Row = { at_ms: 3350, ...down, flags: '.', seq: 5001, ack: 1801 };
  test.each<[string, Row[]]>([
    ['it is answered at last', [...sent, answer]],
    ['it is answered in between', [...sent, { ...answer, at_ms: 1000, ack: 1101 }]],
    ['it comes at once', sent.map((row, nth) => ({ ...row, at_ms: 300 + nth }))],
    ['it is a FIN', sent.map((row) => ({ ...row, flags: 'F.', len: 0 }))],
    ['it is new each time', sent.map((row, nth) => ({ ...row, seq: 1101 + 700 * nth }))],
  ])('is not told where %s', (_, rows) => {
    const all = [...opened(CLIENT, SERVER), ...rows].toSorted((a, b) => a.at_ms - b.at_ms);
    expect(causesIn(all)).toEqual({});
  });

  test('is not told of a connection that began before', () => {
    expect(causesIn([...opened(CLIENT, SERVER).slice(3), ...sent])).toEqual({});
  });
});

describe('a reset from an address that was not dialled', () => {
  const syn = (at_ms: number): Row => ({ at_ms, ...up, flags: 'S', seq: 1000 });
  const from = { from: '10.4.26.11:80', to: CLIENT };
  const reset: Row = { at_ms: 0.1, ...from, flags: 'R.', seq: 0, ack: 1001, win: 0 };

  test('is told where the SYN is sent again, once', () => {
    const again: Row = { ...reset, at_ms: 1000.1 };
    const rows = [syn(0), reset, syn(1000), again, syn(3000)];
    const [finding, ...others] = findingsIn(pcap(rows));
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ cause: 'refused-from-elsewhere', count: 1 });
    expect(finding?.evidence).toMatchObject({ dialled: SERVER, refused_by: '10.4.26.11:80' });
  });

  test.each<[string, Row[]]>([
    ['it was believed', [syn(0), reset]],
    ['it answers another SYN', [syn(0), { ...reset, ack: 7 }, syn(1000)]],
    ['its sender was dialled too', [syn(0), { ...syn(0), to: from.from }, reset, syn(1000)]],
  ])('is not where %s', (_, rows) => {
    expect(causesIn(rows)).not.toHaveProperty('refused-from-elsewhere');
  });
});
