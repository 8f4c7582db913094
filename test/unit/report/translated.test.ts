// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { Capture } from '../../../src/capture/capture.ts';
import { opened, pcap, type Row } from '../capture/captures.ts';
import { type Recorded, reportOf } from './reports.ts';

const INSIDE = '10.0.0.5:4000';
const OUTSIDE = '192.0.2.7:61000';
const SERVICE = '198.18.0.1:80';
const BEHIND = '10.9.0.9:8080';
const SECOND_MS = 1000;

/** A connection that its server resets, as it is seen between two ends. */
function seen(client: string, server: string, { isn = 1000, server_isn = 5000 } = {}): Row[] {
  const reset: Row = { at_ms: 9, from: server, to: client, flags: 'R.', seq: 0 };
  return [
    ...opened(client, server, { isn, server_isn }),
    { ...reset, seq: server_isn + 1, ack: isn + 101 },
  ];
}

function captured(name: string, rows: readonly Row[], late_ms = 0): Recorded {
  const capture = new Capture(name);
  const all = rows.map((row) => ({ ...row, at_ms: row.at_ms + late_ms }));
  const stream = Buffer.concat([capture.push(pcap(all)), capture.end(false)]);
  return { name, header: capture.header(), stream };
}

const here = captured('inside', seen(INSIDE, SERVICE));
const translatedIn = (...others: Recorded[]) =>
  reportOf([here, ...others])
    .findings.map(({ number, host, translated, elsewhere }) => ({
      ...{ number, host, translated, elsewhere },
    }))
    .toSorted((a, b) => (a.host < b.host ? -1 : 1));

test('a connection is known on both sides of a NAT, and what each end is called there', () => {
  const [one, other] = translatedIn(captured('outside', seen(OUTSIDE, BEHIND)));
  expect(one).toMatchObject({
    host: 'inside',
    elsewhere: [other?.number],
    translated: [
      { here: INSIDE, there: OUTSIDE, hosts: ['outside'] },
      { here: SERVICE, there: BEHIND, hosts: ['outside'] },
    ],
  });
  expect(other).toMatchObject({
    host: 'outside',
    elsewhere: [one?.number],
    translated: [
      { here: OUTSIDE, there: INSIDE, hosts: ['inside'] },
      { here: BEHIND, there: SERVICE, hosts: ['inside'] },
    ],
  });
});

test('only the end that differs is called otherwise', () => {
  const [one] = translatedIn(captured('outside', seen(OUTSIDE, SERVICE)));
  expect(one?.translated).toEqual([{ here: INSIDE, there: OUTSIDE, hosts: ['outside'] }]);
});

test('both hosts are put on one clock by it', () => {
  const late = captured('outside', seen(OUTSIDE, BEHIND), 3 * SECOND_MS);
  const { hosts } = reportOf([here, late]);
  expect(hosts[1]?.clock).toMatchObject({ basis: 'one-way', with: 'inside' });
  expect(Math.round((hosts[1]?.clock.correction_ns ?? 0) / 1e9)).toBe(-3);
});

test.each([
  ['another first number of its server', { server_isn: 7000 }],
  ['another first number of its client', { isn: 3000 }],
])('a connection with %s is another one', (_, numbers) => {
  const found = translatedIn(captured('outside', seen(OUTSIDE, BEHIND, numbers)));
  expect(found).toHaveLength(2);
  for (const one of found) expect(one).toMatchObject({ translated: [], elsewhere: [] });
});
