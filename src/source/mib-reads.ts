// SPDX-License-Identifier: Apache-2.0

import { MIB_SLOTS } from '../wire/mib.gen.ts';

/** Numbers of the kernel's enums, by enum or by a member of an anonymous one. */
export type Enums = Record<string, Record<string, number>>;

/** As in bpf/include/maps.h. */
const MIB_READS = 12;
const MIB_WORDS = 128;
const ABSENT = 0xffff;

/** A read costs as much as this many more counters. */
const READ_COSTS = 5;

/** Counters of one of the kernel's arrays that are read together. */
interface Read {
  array: number;
  from: number;
  /** The last one's index. */
  last: number;
}

/** The arrays of enum mib_array: how their counters are called, and where their enum is found. */
const ARRAYS = [
  { prefix: 'LINUX_MIB_', found: 'LINUX_MIB_LISTENDROPS' },
  { prefix: 'TCP_MIB_', found: 'TCP_MIB_OUTRSTS' },
  { prefix: 'IPSTATS_MIB_', found: 'IPSTATS_MIB_OUTNOROUTES' },
] as const;

/** Anonymous enums of the kernel that hold the counters, each by one of its members. */
export const MIB_ENUMS: readonly string[] = ARRAYS.map(({ found }) => found);

/** Where the counters of MibDelta are on this kernel, as `const volatile` variables of the programs. */
export function mibRodata(enums: Enums): Record<string, Uint8Array> {
  const slots = MIB_SLOTS.map(({ counter }) => {
    const array = ARRAYS.findIndex(({ prefix }) => counter.startsWith(prefix));
    return { array, index: enums[ARRAYS[array]?.found ?? '']?.[counter] };
  });
  const reads = together(
    slots.flatMap(({ array, index }) =>
      index === undefined ? [] : [{ array, from: index, last: index }],
    ),
  );
  let words = 0;
  const placed = reads.map((read) => {
    const to = words;
    words += length(read);
    return { ...read, to };
  });
  if (words > MIB_WORDS) throw new RangeError(`${words} words of counters, at most ${MIB_WORDS}`);
  const place = ({ array, index }: (typeof slots)[number]) => {
    const read = placed.find(
      (read) =>
        index !== undefined && read.array === array && read.from <= index && index <= read.last,
    );
    return read && index !== undefined ? read.to + index - read.from : ABSENT;
  };
  const filled = placed.flatMap((read) => [read.array, read.from, length(read), read.to]);
  return {
    mib_index: u16(slots.map(({ index }) => index ?? ABSENT)),
    mib_reads: u16([...filled, ...Array(4 * MIB_READS - filled.length).fill(0)]),
    mib_place: u16(slots.map(place)),
    mib_words: Buffer.from(Uint32Array.of(words).buffer),
  };
}

/** As few and short reads as bring all of them: the nearest ones are put together. */
export function together(reads: readonly Read[]): Read[] {
  const sorted = [...reads].sort((a, b) => a.array - b.array || a.from - b.from);
  for (;;) {
    const gaps = sorted.slice(1).map((read, at) => gap(sorted[at], read));
    const nearest = gaps.indexOf(Math.min(...gaps));
    const [a, b] = sorted.slice(nearest, nearest + 2);
    const smallest = gaps[nearest] ?? Number.POSITIVE_INFINITY;
    if (!a || !b || smallest === Number.POSITIVE_INFINITY) return sorted;
    if (smallest > READ_COSTS && sorted.length <= MIB_READS) return sorted;
    sorted.splice(nearest, 2, { ...a, last: b.last });
  }
}

/** Counters between two reads that neither asks for. */
function gap(a: Read | undefined, b: Read): number {
  return a?.array === b.array ? b.from - a.last - 1 : Number.POSITIVE_INFINITY;
}

function length({ from, last }: Read): number {
  return last - from + 1;
}

function u16(values: readonly number[]): Buffer {
  return Buffer.from(Uint16Array.from(values).buffer);
}
