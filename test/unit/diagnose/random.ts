// SPDX-License-Identifier: Apache-2.0

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function shuffled<Value>(values: readonly Value[], next: () => number): Value[] {
  return values
    .map((value) => ({ value, at: next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value);
}

/** One of the orders that keep each list's own. */
export function interleaved<Value>(
  lists: readonly (readonly Value[])[],
  next: () => number,
): Value[] {
  const rest = lists.map((list) => [...list]);
  const merged: Value[] = [];
  for (;;) {
    const left = rest.filter((list) => list.length > 0);
    const taken = left[Math.floor(next() * left.length)]?.shift();
    if (taken === undefined) return merged;
    merged.push(taken);
  }
}
