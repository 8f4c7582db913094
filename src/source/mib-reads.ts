// SPDX-License-Identifier: Apache-2.0

import { MIB_SLOTS } from '../wire/mib.gen.ts';

/** Numbers of the kernel's enums, by enum or by a member of an anonymous one. */
export type Enums = Record<string, Record<string, number>>;

/** As in bpf/include/maps.h. */
const MIB_READS = 12;
const MIB_WORDS = 128;
const ABSENT = 0xffff;

const ALL = MIB_SLOTS.map(({ counter }) => counter);
/**
 * What can move while a listener handles a SYN, or what completes a handshake, unless its queues are full
 * or it is one for Fast Open, deferred accept or tcp_abort_on_overflow: bpf/tcp_handshake.bpf.c.
 */
const OF_SYN = [
  'LINUX_MIB_PAWSPASSIVEREJECTED',
  'LINUX_MIB_LISTENOVERFLOWS',
  'LINUX_MIB_LISTENDROPS',
  'IPSTATS_MIB_OUTNOROUTES',
];
const OF_REQUEST = [
  'LINUX_MIB_EMBRYONICRSTS',
  'LINUX_MIB_PAWSESTABREJECTED',
  'LINUX_MIB_TSECRREJECTED',
  'LINUX_MIB_LISTENOVERFLOWS',
  'LINUX_MIB_LISTENDROPS',
  'IPSTATS_MIB_OUTNOROUTES',
];

/** A read costs as much as this many more counters. */
const READ_COSTS = 16;

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
  const at = (counter: string) => {
    const array = ARRAYS.findIndex(({ prefix }) => counter.startsWith(prefix));
    return { array, index: enums[ARRAYS[array]?.found ?? '']?.[counter] };
  };
  const readsOf = (counters: readonly string[]) =>
    together(
      counters
        .map(at)
        .flatMap(({ array, index }) =>
          index === undefined ? [] : [{ array, from: index, last: index }],
        ),
    );
  let words = 0;
  const placed = readsOf(ALL).map((read) => {
    const to = words;
    words += length(read);
    return { ...read, to };
  });
  if (words > MIB_WORDS) throw new RangeError(`${words} words of counters, at most ${MIB_WORDS}`);
  const place = (array: number, index: number) => {
    const read = placed.find(
      (read) => read.array === array && read.from <= index && index <= read.last,
    );
    return read ? read.to + index - read.from : ABSENT;
  };
  const filled = (reads: readonly Read[]) => {
    const numbers = reads.flatMap((read) => [
      read.array,
      read.from,
      length(read),
      place(read.array, read.from),
    ]);
    return [...numbers, ...Array(4 * MIB_READS - numbers.length).fill(0)];
  };
  const slots = ALL.map(at);
  return {
    mib_index: u16(slots.map(({ index }) => index ?? ABSENT)),
    mib_reads: u16([placed, readsOf(OF_SYN), readsOf(OF_REQUEST)].flatMap(filled)),
    mib_place: u16(
      slots.map(({ array, index }) => (index === undefined ? ABSENT : place(array, index))),
    ),
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
