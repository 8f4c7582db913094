// SPDX-License-Identifier: Apache-2.0

const FIRST_MS = 1000;
const LONGEST_MS = 60_000;

/**
 * How long to wait before the next attempt, after so many that failed: twice as long each time, between half of
 * that and all of it, so that hosts which failed together do not come back together.
 */
export function backoff_ms(failures: number, random = Math.random()): number {
  const most = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 30));
  return most / 2 + (most / 2) * random;
}
