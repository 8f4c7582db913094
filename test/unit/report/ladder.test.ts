// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import type { SegmentRung } from '../../../src/report/model.ts';
import { readFixture, streamOf } from '../causes/fixture.ts';
import { reportOf } from './reports.ts';

function ladderOf(cause: string) {
  const { header, events } = readFixture(cause, 'fires');
  const { findings } = reportOf([{ name: 'a', header, stream: streamOf(events) }]);
  const found = findings.find(({ finding }) => finding.cause === cause);
  if (!found?.ladder) throw new Error(`nothing is drawn of ${cause}`);
  return found.ladder;
}

const segments = (cause: string) =>
  ladderOf(cause).rungs.filter((rung): rung is SegmentRung => rung.kind === 'segment');

describe('synack-wrong-source', () => {
  test('has the client, what it dialled and who answered', () => {
    const { ends } = ladderOf('synack-wrong-source');
    expect(ends).toHaveLength(3);
    expect(ends.map(({ host }) => host !== null)[1]).toBe(false);
  });

  test('goes there, comes back from elsewhere, and is reset there', () => {
    const [asked, answer, reset] = segments('synack-wrong-source');
    expect(asked).toMatchObject({ from: 0, to: 1, flags: 'S', seen: false });
    expect(answer).toMatchObject({ from: 2, to: 0, flags: 'SA', seen: true });
    expect(answer?.ack).toBe(((asked?.seq ?? 0) + 1) >>> 0);
    expect(answer?.verdicts[0]?.mark).toBe('reset');
    expect(reset).toMatchObject({ from: 0, to: 2, flags: 'R', seq: answer?.ack, ack: null });
  });
});

test('a reset without ACK to answer acknowledges what came', () => {
  const [syn, reset] = segments('no-listener');
  expect(syn).toMatchObject({ flags: 'S', from: 0, to: 1 });
  expect(reset).toMatchObject({ flags: 'RA', from: 1, to: 0, seq: 0 });
  expect(reset?.ack).toBe(((syn?.seq ?? 0) + 1) >>> 0);
});

test('what is dropped says where and why', () => {
  const [dropped] = segments('netfilter-drop');
  const verdict = dropped?.verdicts[0];
  expect(verdict).toMatchObject({ mark: 'dropped', at: 'received' });
  expect(verdict?.text).toMatch(/^dropped: NETFILTER_DROP in \w+$/);
});

test('those who dial come before those who are dialled', () => {
  for (const cause of ['no-listener', 'request-reset', 'netfilter-drop', 'accept-queue-full']) {
    const [first, ...others] = ladderOf(cause).ends.map(({ text }) =>
      Number(text.split(':').at(-1)),
    );
    for (const other of others) expect(first).toBeGreaterThan(other);
  }
});
