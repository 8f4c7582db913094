// SPDX-License-Identifier: Apache-2.0

/** There was no tcpwhy yet. */
const EARLIEST_MS = Date.UTC(2020);

/** What is wrong with a wall clock that shows this; null: nothing that can be known. */
export function clockTrouble(now_ms: number): string | null {
  if (now_ms >= EARLIEST_MS) return null;
  const shown = new Date(now_ms).toISOString();
  return `the clock of this host is not set (${shown}): findings have such times, and engines may drop them`;
}
