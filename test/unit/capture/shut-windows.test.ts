// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { causesIn, findingsIn, opened, pcap, type Row } from './captures.ts';

const CLIENT = '10.4.26.45:35582';
const SERVER = '10.4.26.234:80';
const up = { from: CLIENT, to: SERVER };
const down = { from: SERVER, to: CLIENT };

const PROBED_MS = [210, 420, 830, 1640, 3250, 6500];
const full: Row = { at_ms: 10, ...down, flags: '.', seq: 5001, ack: 1101, win: 0 };
const answer = (at_ms: number, win = 0): Row => ({ ...full, at_ms, win });
const probe = (at_ms: number, of: Partial<Row> = {}): Row => ({
  ...{ at_ms, ...up, flags: '.', seq: 1100, ack: 5001 },
  ...of,
});
const probed = (times_ms: readonly number[], of: Partial<Row> = {}) =>
  times_ms.flatMap((at_ms) => [probe(at_ms, of), answer(at_ms + 1)]);
const reset: Row = { at_ms: 9000, ...down, flags: 'R.', seq: 5001, ack: 1101 };

const evidence = (rows: readonly Row[]) =>
  findingsIn(pcap([...opened(CLIENT, SERVER), ...rows]))
    .filter(({ cause }) => cause === 'peer-window-shut')
    .map((one) => one.evidence)[0];

describe('a window that stays shut', () => {
  test('is told as it is, once', () => {
    const rows = [full, ...probed(PROBED_MS)];
    expect(causesIn([...opened(CLIENT, SERVER), ...rows])).toEqual({ 'peer-window-shut': 1 });
    expect(evidence(rows)).toMatchObject({
      ...{ peer: SERVER, local: CLIENT, shut_for_ms: 6491, answers_probes: true },
      ...{ waiting_bytes: null, ended_with: null },
    });
    expect(evidence(rows)).not.toHaveProperty('never_open');
  });

  test('is told when it has been so for long, and is asked', () => {
    expect(evidence([full, ...probed(PROBED_MS.slice(0, 5))])).toMatchObject({ shut_for_ms: 3241 });
    expect(evidence([full, ...probed(PROBED_MS.slice(0, 4))])).toBeUndefined();
  });

  test('is told when it opens, where it was not asked so late before', () => {
    const rows = [full, ...probed(PROBED_MS.slice(0, 4)), probe(3250), answer(3251, 400)];
    expect(evidence(rows)).toMatchObject({ opened_again: true, shut_for_ms: 3241 });
  });

  test('is told with how it ended', () => {
    const rows = [full, ...probed(PROBED_MS)];
    const opens = evidence([...rows, answer(7000, 400)]);
    expect(opens).toMatchObject({ opened_again: true, shut_for_ms: 6990 });
    expect(evidence([...rows, reset])).toMatchObject({ ended_with: 'ECONNRESET' });
    const gone: Row = { at_ms: 9000, ...up, flags: 'R.', seq: 1101, ack: 5001 };
    expect(evidence([...rows, gone])).toMatchObject({ reset_by: CLIENT });
  });

  test('is told of the server’s data too, and of who asks by a byte', () => {
    const shut: Row = { at_ms: 10, ...up, flags: '.', seq: 1101, ack: 5001, win: 0 };
    const rows = PROBED_MS.flatMap((at_ms): Row[] => [
      { at_ms, ...down, flags: '.', seq: 5001, ack: 1101, len: 1 },
      { ...shut, at_ms: at_ms + 1 },
    ]);
    expect(evidence([shut, ...rows])).toMatchObject({ peer: CLIENT, local: SERVER });
  });

  test('is one that was never open, where nothing was taken', () => {
    const [syn, synAck, ack] = opened(CLIENT, SERVER) as [Row, Row, Row];
    const rows = PROBED_MS.flatMap((at_ms): Row[] => [
      probe(at_ms, { seq: 1000 }),
      { ...answer(at_ms + 1), ack: 1001 },
    ]);
    const [finding] = findingsIn(pcap([syn, { ...synAck, win: 0 }, ack, ...rows]));
    expect(finding?.evidence).toMatchObject({ never_open: true });
  });

  test('is one that is shut again, where it opened', () => {
    const again = [{ ...full, at_ms: 8000 }, ...probed(PROBED_MS.map((at_ms) => at_ms + 8000))];
    const rows = [full, ...probed(PROBED_MS), answer(7000, 400), ...again];
    expect(evidence(rows)).toMatchObject({ reads: true, shut_for_ms: 6501 });
  });
});

describe('of a window nothing is said, where', () => {
  test.each<[string, Row[]]>([
    [
      'it opens sooner',
      [full, ...probed([210, 420, 830, 1640]), answer(2000, 400), ...probed([3250])],
    ],
    ['probes are not answered', [full, ...PROBED_MS.map((at_ms) => probe(at_ms))]],
    ['nobody asks', [full, answer(3000), answer(6000)]],
    [
      'who asks only wants to know whether it is there',
      [full, ...probed([1000, 2000, 3000, 4000, 5000])],
    ],
    ['one of such was not captured', [full, ...probed([1000, 2000, 4000, 5000, 6000])]],
    [
      'it has room for little',
      [{ ...full, win: 1 }, ...PROBED_MS.flatMap((at_ms) => [probe(at_ms), answer(at_ms + 1, 1)])],
    ],
    ['what is sent has other numbers', [full, ...probed(PROBED_MS, { seq: 1050 })]],
  ])('%s', (_, rows) => {
    expect(evidence(rows)).toBeUndefined();
  });

  test('the connection began before the capture', () => {
    const rows = [...opened(CLIENT, SERVER).slice(3), full, ...probed(PROBED_MS)];
    expect(causesIn(rows)).toEqual({});
  });

  test('only one end was captured', () => {
    const rows = [...opened(CLIENT, SERVER), full, ...probed(PROBED_MS)];
    expect(causesIn(rows.filter(({ from }) => from === SERVER))).toEqual({});
    expect(
      causesIn(rows.filter(({ from }) => from === CLIENT))['peer-window-shut'],
    ).toBeUndefined();
  });
});
