// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { TCP_FLAG } from '../../src/causes/define.ts';
import { Lab } from '../../src/lab/lab.ts';
import { crossed } from '../../src/lab/scenarios/crossed-reply.ts';
import type { Segment } from '../../src/lab/segment.ts';
import { Running } from './tcpwhy.ts';

const TIMES = 7;

/** Segments that the balancer sends, by what the client had sent last on the direct connection. */
const CASES: { title: string; count: number; segment(direct: Segment): Partial<Segment> }[] = [
  {
    title: 'an acknowledgement of the other connection',
    count: TIMES,
    segment: ({ seq, ack }) => ({ flags: TCP_FLAG.ack, seq: ack, ack: seq, window: 227 }),
  },
  {
    title: 'a reset whose number is one too high',
    count: 0,
    segment: ({ ack }) => ({ flags: TCP_FLAG.rst, seq: ack + 1 }),
  },
];

it.each(CASES)('$title is a crossed reply $count times', async ({ count, segment }) => {
  await using tcpwhy = await Running.start();
  using lab = Lab.open();
  crossed(lab, { times: TIMES, family: 4 }, segment);
  if (count > 0) await tcpwhy.until((output) => output.count('crossed-reply') >= count, 3000);
  const { summary } = await tcpwhy.stop();
  expect(summary.findings['crossed-reply'] ?? 0).toBe(count);
});
