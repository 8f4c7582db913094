// SPDX-License-Identifier: Apache-2.0

import type { Row } from './conformance.ts';

/** How well a cause is told, over all scenarios that were run. */
export interface Score {
  cause: string;
  /** How often it was made to happen. */
  expected: number;
  /** How often it was reported, wherever, but for where it may stand beside another. */
  reported: number;
  /** Of those reported, the share that had happened; null where none was reported. */
  precision: number | null;
  /** Of those that happened, the share that was reported; null where none was made. */
  recall: number | null;
}

/** A row for each cause that was made or reported; skipped scenarios do not count. */
export function score(rows: readonly Row[]): Score[] {
  const ran = rows.filter(({ verdict }) => verdict !== 'skipped');
  const causes = new Set(ran.flatMap(({ cause, reported }) => [cause, ...Object.keys(reported)]));
  const scores = [...causes].sort().map((cause) => {
    const told = ran.filter(({ beside }) => !beside.includes(cause));
    const right = sum(
      told.filter((row) => row.cause === cause),
      ({ times, reported }) => Math.min(times, reported[cause] ?? 0),
    );
    const reported = sum(told, (row) => row.reported[cause] ?? 0);
    const expected = sum(told, (row) => (row.cause === cause ? row.times : 0));
    return {
      ...{ cause, expected, reported },
      precision: reported === 0 ? null : right / reported,
      recall: expected === 0 ? null : right / expected,
    };
  });
  return scores.filter(({ expected, reported }) => expected > 0 || reported > 0);
}

function sum(rows: readonly Row[], number: (row: Row) => number): number {
  return rows.reduce((total, row) => total + number(row), 0);
}
