// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { mibRodata, together } from '../../../src/source/mib-reads.ts';
import { MIB_SLOTS } from '../../../src/wire/mib.gen.ts';

const one = (array: number, index: number) => ({ array, from: index, last: index });

test('puts counters together that lie near each other, and those of one array only', () => {
  expect(together([one(0, 40), one(0, 1), one(1, 2), one(0, 39), one(0, 3), one(2, 3)])).toEqual([
    { array: 0, from: 1, last: 3 },
    { array: 0, from: 39, last: 40 },
    { array: 1, from: 2, last: 2 },
    { array: 2, from: 3, last: 3 },
  ]);
});

test('reads over the smallest gaps where there are too many reads', () => {
  const far = Array.from({ length: 14 }, (_, at) => one(0, at * 40 + (at > 10 ? 5 * at : 0)));
  const reads = together(far);
  expect(reads).toHaveLength(12);
  expect(reads[0]).toEqual({ array: 0, from: 0, last: 80 });
});

test('places each counter where its read brings it, and leaves out what the kernel lacks', () => {
  const rodata = mibRodata({
    LINUX_MIB_LISTENDROPS: { LINUX_MIB_LISTENOVERFLOWS: 19, LINUX_MIB_LISTENDROPS: 20 },
    TCP_MIB_OUTRSTS: { TCP_MIB_OUTRSTS: 14 },
    IPSTATS_MIB_OUTNOROUTES: {},
  });
  const numbers = (name: string) => [...new Uint16Array(rodata[name]?.buffer ?? new ArrayBuffer())];
  const place = (counter: string) =>
    numbers('mib_place')[MIB_SLOTS.findIndex((slot) => slot.counter === counter)];
  const READS = 12 * 4;
  const reads = (kind: number) => numbers('mib_reads').slice(kind * READS, kind * READS + 12);
  expect(reads(0)).toEqual([0, 19, 2, 0, 1, 14, 1, 2, 0, 0, 0, 0]);
  expect(reads(1)).toEqual([0, 19, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  expect(reads(2)).toEqual(reads(1));
  expect(place('LINUX_MIB_LISTENOVERFLOWS')).toBe(0);
  expect(place('LINUX_MIB_LISTENDROPS')).toBe(1);
  expect(place('TCP_MIB_OUTRSTS')).toBe(2);
  expect(place('IPSTATS_MIB_OUTNOROUTES')).toBe(0xffff);
  expect(rodata.mib_words).toEqual(Buffer.from([3, 0, 0, 0]));
});
