// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { Closed, Connection } from '../../../src/capture/connection.ts';
import { addressesOf, ByEnds, Ends, endOf, keyOfEnds } from '../../../src/capture/ends.ts';
import { Followed } from '../../../src/capture/followed.ts';
import { Kept } from '../../../src/capture/segment.ts';
import { addressBytes } from '../../../src/tcp/address.ts';

const SAME_HASH = 7;
const end = (port: number) => endOf({ addr: addressBytes('10.4.26.45'), port });

/** Between two ports of one host, by ends that all have one hash. */
function between(one: number, other: number): Ends {
  const { key } = keyOfEnds(end(one), end(other));
  return new Ends(key, addressesOf(key), SAME_HASH, SAME_HASH);
}

function segmentOf(ends: Ends): Kept {
  const segment = new Kept();
  segment.ends = ends;
  return segment;
}

describe('ends that have the same hash', () => {
  test('are told apart', () => {
    const all = new ByEnds<{ ends: Ends; port: number }>();
    const ports = [1, 2, 3];
    for (const port of ports) all.set({ ends: between(port, 80), port });
    expect(all.size).toBe(3);
    for (const port of ports) expect(all.get(between(port, 80))?.port).toBe(port);
    expect(all.get(between(4, 80))).toBeUndefined();
    all.set({ ends: between(2, 80), port: 20 });
    expect([all.size, all.get(between(2, 80))?.port]).toEqual([3, 20]);
    all.delete({ ends: between(1, 80), port: 1 });
    all.delete({ ends: between(1, 80), port: 1 });
    expect([all.size, [...all.values()].map(({ port }) => port)]).toEqual([2, [3, 20]]);
    for (const port of [2, 3]) all.delete({ ends: between(port, 80), port });
    expect([all.size, [...all.values()]]).toEqual([0, []]);
  });

  test('are connections of their own, and dialled by their own end', () => {
    const followed = new Followed(() => SAME_HASH);
    const begin = (client: number, server: number) => {
      const segment = segmentOf(between(client, server));
      const connection = new Connection(segment, 0);
      connection.opener = keyOfEnds(end(client), end(server)).side;
      followed.keep(connection, segment);
      return connection;
    };
    const [first, second, third] = [begin(5, 80), begin(6, 80), begin(5, 81)];
    expect(followed.between(end(6), end(80))).toBe(second);
    expect(followed.between(end(80), end(5))).toBe(first);
    expect(followed.between(end(80), end(7))).toBeUndefined();
    expect([...followed.dialledBy(first.ends, first.opener ?? 0)]).toEqual([first, third]);
    expect([...followed.dialledBy(second.ends, second.opener ?? 0)]).toEqual([second]);
    followed.ended(first, segmentOf(first.ends), null);
    expect(followed.of(segmentOf(first.ends))).toBeInstanceOf(Closed);
    expect([...followed.dialledBy(third.ends, third.opener ?? 0)]).toEqual([third]);
    expect(followed.between(end(6), end(80))).toBe(second);
  });
});
