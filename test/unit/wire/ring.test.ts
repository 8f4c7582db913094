// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { Ring } from '../../../src/wire/ring.ts';

const MIB = 1 << 20;

test('what was taken is there until 32 MiB came after it', () => {
  const ring = new Ring();
  const positions: number[] = [];
  for (let i = 0; i < 100; i++) {
    const taken = ring.take(Buffer.alloc(MIB, i));
    if (!taken) throw new Error('not taken');
    positions.push(ring.position(taken.byteOffset / 4));
    const there = positions.map((position) => ring.at(position));
    for (const [one, at] of there.entries()) {
      const isThere = i - one < 32;
      expect(at >= 0).toBe(isThere);
      if (isThere) expect(ring.words[at]).toBe(one * 0x01010101);
    }
  }
});

test('what does not fit before the end is taken whole to the beginning', () => {
  const ring = new Ring();
  const sizes = [15, 14, 13, 3, 16].map((mib) => mib * MIB + 5);
  for (const [i, size] of sizes.slice(0, -1).entries()) {
    const taken = ring.take(new Uint8Array(size).fill(i + 1));
    expect(taken).toHaveLength(size);
    expect(taken?.every((byte) => byte === i + 1)).toBe(true);
    expect((taken?.byteOffset ?? 1) % 4).toBe(0);
    expect(ring.at(ring.position((taken?.byteOffset ?? 0) / 4))).toBe((taken?.byteOffset ?? 0) / 4);
  }
  expect(ring.take(new Uint8Array(sizes.at(-1) ?? 0))).toBeNull();
});
