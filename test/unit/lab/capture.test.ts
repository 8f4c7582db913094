// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { type End, joined } from '../../../src/lab/capture.ts';
import { frame } from '../../../src/lab/segment.ts';

const MACS = { from: '02:00:00:00:00:45', to: '02:00:00:00:00:11' };
const SYN = { sport: 61_902, dport: 3269, seq: 7, ack: 0, flags: 2, window: 64_240 };

function seen(end: End, time_us: number, outgoing: boolean, data: Buffer) {
  return { end, frame: { data, outgoing, time_us } };
}

it.each([
  ['10.4.26.45', '10.4.26.11'],
  ['2001:db8:26::45', '2001:db8:26::11'],
])('joins what left here and came in there, %s', (from, to) => {
  const syn = frame(from, to, { ...SYN, payload: Buffer.from('select 1') }, MACS);
  const lost = frame(from, to, { ...SYN, seq: 8, payload: Buffer.alloc(0) }, MACS);
  const answer = frame(
    to,
    from,
    { ...SYN, sport: 3269, dport: 61_902, flags: 0x14, payload: Buffer.alloc(0) },
    MACS,
  );
  const sights = joined([
    seen('server', 12, false, syn),
    seen('client', 10, true, syn),
    seen('client', 20, true, lost),
    seen('client', 30, false, answer),
  ]);
  expect(sights).toMatchObject([
    { time_us: 10, from: 'client', to: 'server', saddr: from, daddr: to, sport: 61_902 },
    { time_us: 20, from: 'client', to: null },
    { time_us: 30, from: null, to: 'client', sport: 3269 },
  ]);
  expect(sights.map(({ text }) => text)).toEqual([
    '[S] seq 7 win 64240 len 8',
    '[S] seq 8 win 64240',
    '[RA] seq 7 ack 0 win 64240',
  ]);
});

it('joins a segment and the same one sent again, each once', () => {
  const syn = frame('10.4.26.45', '10.4.26.11', { ...SYN, payload: Buffer.alloc(0) }, MACS);
  const sights = joined([
    seen('client', 10, true, syn),
    seen('client', 20, true, syn),
    seen('server', 21, false, syn),
    seen('server', 11, false, syn),
  ]);
  expect(sights.map(({ time_us, to }) => [time_us, to])).toEqual([
    [10, 'server'],
    [20, 'server'],
  ]);
});

it('leaves out what is neither TCP nor ICMP, and what is cut off', () => {
  const arp = Buffer.concat([Buffer.alloc(12), Buffer.from([8, 6]), Buffer.alloc(28)]);
  const cut = frame('10.4.26.45', '10.4.26.11', { ...SYN, payload: Buffer.alloc(0) }, MACS);
  expect(joined([seen('client', 1, true, arp)])).toEqual([]);
  for (const bytes of [0, 14, 33, 53])
    expect(joined([seen('client', 1, true, cut.subarray(0, bytes))])).toEqual([]);
});
