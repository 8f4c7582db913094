// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { compareClocks } from '../../../src/report/clocks.ts';
import { Segments } from '../../../src/report/segments.ts';
import type { SegmentStep } from '../../../src/report/steps.ts';

const A = '10.0.0.1';
const B = '10.0.0.2';
const C = '10.0.0.3';
const MS = 1e6;

interface Sent {
  from: string;
  to: string;
  seq: number;
  /** By the true clock. */
  at_ns: number;
  takes_ns: number;
}

/** What each host saw, by a clock that is so much ahead of the true one. */
function seen(
  ahead_ns: Record<string, number>,
  sent: readonly Sent[],
  captures: readonly string[] = [],
) {
  return Object.entries(ahead_ns).map(([name, ahead]) => {
    const segments = new Segments();
    for (const { from, to, seq, at_ns, takes_ns } of sent) {
      const step: SegmentStep = {
        kind: 'segment',
        flow: { saddr: from, daddr: to, sport: 40_000, dport: 80, service: 2 },
        role: from === name ? 'sent' : 'received',
        flags: 16,
        seq,
        ack: 1,
        len: 0,
        what: null,
        seen: true,
        earlier: false,
        verdict: null,
        mark: null,
      };
      const captured = captures.includes(name);
      if (from === name) segments.add(step, at_ns + ahead, captured);
      if (to === name) segments.add(step, at_ns + takes_ns + ahead, captured);
    }
    return { name, segments };
  });
}

const there = (seq: number, takes_ms: number): Sent => ({
  ...{ from: A, to: B, seq, at_ns: seq * 1e9, takes_ns: takes_ms * MS },
});
const back = (seq: number, takes_ms: number): Sent => ({ ...there(seq, takes_ms), from: B, to: A });

describe('the clock of another host', () => {
  test('is known from segments of both directions, the fastest of each', () => {
    const [own, other] = compareClocks(
      seen({ [A]: 0, [B]: 1500 * MS }, [there(1, 3), there(2, 1), back(3, 2), back(4, 40)]),
    );
    expect(own).toMatchObject({ basis: 'own', correction_ns: 0 });
    expect(other).toMatchObject({ basis: 'both', segments: 4, with: A, uncertainty_ns: 1.5 * MS });
    expect(Math.abs((other?.correction_ns ?? 0) + 1500 * MS)).toBeLessThanOrEqual(1.5 * MS);
  });

  test('is a bound where they went one way', () => {
    const [, other] = compareClocks(seen({ [A]: 0, [B]: -70 * MS }, [there(1, 3), there(2, 1)]));
    expect(other).toMatchObject({ basis: 'one-way', uncertainty_ns: null, correction_ns: 69 * MS });
  });

  test('is left alone where no segment was seen at both ends', () => {
    const [, other] = compareClocks(seen({ [A]: 0, [C]: 5000 * MS }, [there(1, 3), back(2, 3)]));
    expect(other).toMatchObject({ basis: 'none', correction_ns: 0, segments: 0 });
  });

  test('is compared through a third one where there is no other way', () => {
    const beyond = [
      { from: B, to: C, seq: 5, at_ns: 5e9, takes_ns: 2 * MS },
      { from: C, to: B, seq: 6, at_ns: 6e9, takes_ns: 2 * MS },
    ];
    const notes = compareClocks(
      seen({ [A]: 0, [C]: -300 * MS, [B]: 1000 * MS }, [there(1, 1), back(2, 1), ...beyond]),
    );
    expect(notes[1]).toMatchObject({ with: B, correction_ns: 300 * MS, uncertainty_ns: 3 * MS });
    expect(notes[2]).toMatchObject({ with: A, correction_ns: -1000 * MS, uncertainty_ns: MS });
  });

  test('is not misled by a segment that was sent twice', () => {
    const twice = [there(1, 1), { ...there(1, 1), at_ns: 3e9 }, back(2, 1)];
    const [, other] = compareClocks(seen({ [A]: 0, [B]: 0 }, twice));
    expect(other).toMatchObject({ basis: 'one-way', segments: 1 });
  });
});

describe('captures, of which nobody says at which end they were taken', () => {
  const rows: Sent[] = [1, 2, 3].flatMap((seq) => [
    { from: A, to: B, seq, at_ns: seq * 10 * MS, takes_ns: MS },
    { from: B, to: A, seq: seq + 100, at_ns: seq * 10 * MS + 2 * MS, takes_ns: 2 * MS },
  ]);
  const captured = (ahead_ns: Record<string, number>, captures: readonly string[]) =>
    compareClocks(seen(ahead_ns, rows, captures)).slice(1);

  test('a recording and a capture at its other end', () => {
    const [note] = captured({ [A]: 0, [B]: 700 * MS }, [B]);
    expect(note).toMatchObject({ basis: 'both', segments: 6 });
    expect(Math.abs((note?.correction_ns ?? 0) + 700 * MS)).toBeLessThanOrEqual(
      note?.uncertainty_ns ?? 0,
    );
  });

  test('two captures', () => {
    for (const ahead of [700 * MS, -700 * MS]) {
      const [note] = captured({ [A]: 0, [B]: ahead }, [A, B]);
      expect(note).toMatchObject({ basis: 'both', segments: 6 });
      expect(note?.uncertainty_ns).toBe(1.5 * MS);
      expect(Math.abs((note?.correction_ns ?? 0) + ahead)).toBeLessThanOrEqual(1.5 * MS);
    }
  });
});
