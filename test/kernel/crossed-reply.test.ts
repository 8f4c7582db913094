// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import { crossed } from '../../src/lab/scenarios/crossed-reply.ts';
import type { Segment } from '../../src/lab/segment.ts';
import { maxDrained } from '../../src/native/binding.ts';
import { attach } from '../../src/source/attach.ts';
import { TCP_FLAG } from '../../src/tcp/flags.ts';
import { decodeEvent } from '../../src/wire/decode.ts';
import { FrameReader } from '../../src/wire/frames.ts';
import { EVENT_KINDS } from '../../src/wire/kinds.gen.ts';
import { Running } from './tcpwhy.ts';

const TIMES = 7;
/** More than a page has room for. */
const STORM = 40;

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
  using lab = Lab.open();
  await using tcpwhy = await Running.start(['--netns', lab.server.name]);
  crossed(lab, { times: TIMES, family: 4 }, segment);
  if (count > 0) await tcpwhy.until((output) => output.count('crossed-reply') >= count, 3000);
  const { summary } = await tcpwhy.stop();
  expect(summary.findings['crossed-reply'] ?? 0).toBe(count);
});

it('those that found the buffer full go with the next record', () => {
  using lab = Lab.open();
  const filter = { groups: [], netns: lab.server.inode };
  const { session } = attach({ filter, records_per_s: 1000, tier: 'hooks', ring_bytes: 4096 });
  try {
    const into = Buffer.alloc(maxDrained());
    const told = () => {
      const { bytes } = session.drain(into);
      const events = [...new FrameReader().push(into.subarray(0, bytes))].map((frame) =>
        decodeEvent(frame.bytes),
      );
      return events
        .filter((event) => event?.kind === 'crossed_reply')
        .reduce((sum, event) => sum + (event?.occurrences ?? 0), 0);
    };
    const counted = () => {
      const { rows } = session.totals(true);
      const places = Array.from({ length: rows.length / 32 }, (_, at) => 32 * at);
      const of = places.filter((at) => rows.readUInt32LE(at + 24) === EVENT_KINDS.crossed_reply);
      const sum = (field: number) =>
        of.reduce((all, at) => all + Number(rows.readBigUInt64LE(at + field)), 0);
      return { count: sum(8), pending: sum(16) };
    };
    const segment = ({ ack }: Segment) => ({ flags: TCP_FLAG.rst, seq: ack });
    crossed(lab, { times: STORM, family: 4 }, segment);
    const { count, pending } = counted();
    expect(count).toBe(STORM);
    expect(pending).toBeGreaterThan(0);
    expect(told()).toBe(count - pending);
  } finally {
    session.close();
  }
});
