// SPDX-License-Identifier: Apache-2.0

import type { Event } from './decode.ts';
import type { Words } from './words.ts';
import { BODY_TAG, readCommon, WRITTEN } from './written.gen.ts';

/** A kind of record that BPF writes: where everything lies in it, in words from its beginning. */
export type Layout = (typeof WRITTEN)[keyof typeof WRITTEN];

const LAYOUTS = new Map<number, Layout>(
  Object.entries(WRITTEN).map(([number, layout]) => [Number(number), layout]),
);
/** Words of the longest record. */
export const LARGEST = Math.max(...[...LAYOUTS.values()].map(({ words }) => words));

/** By the number of the body. */
export function layoutNumbered(number: number): Layout | null {
  return LAYOUTS.get(number) ?? null;
}

/** A padded varint of four bytes, as BPF writes tags and lengths; -1 where it is none. */
export function varint(word: number): number {
  if ((word & 0x80808080) !== 0x00808080) return -1;
  return (
    (word & 0x7f) | ((word & 0x7f00) >> 1) | ((word & 0x7f0000) >> 2) | ((word & 0x7f000000) >> 3)
  );
}

/** The layout of the record at `at`, of that many words; null for any that this version's BPF does not write. */
function layoutOf(w: Words, at: number, words: number): Layout | null {
  const layout = LAYOUTS.get(varint(w[at + BODY_TAG] ?? 0) >> 3);
  if (!layout || layout.words !== words) return null;
  const { tags } = layout;
  for (let i = 0; i < tags.length; i += 2) {
    if (w[at + (tags[i] as number)] !== tags[i + 1]) return null;
  }
  return layout;
}

export function eventAt(w: Words, at: number, layout: Layout): Event {
  const { ktime_ns, cpu, netns, key, occurrences } = readCommon(w, at);
  return {
    ktime_ns,
    cpu,
    netns,
    key,
    occurrences: Math.max(1, occurrences),
    kind: layout.kind,
    body: layout.body(w, at),
  } as Event;
}

/**
 * Calls `take` for the records at the beginning of a stream that BPF of this version wrote, with
 * where each lies. Returns how many bytes they are: from there on it is another's.
 */
export function eachLayout(
  bytes: Uint8Array,
  take: (w: Words, at: number, layout: Layout) => void,
): number {
  if (bytes.byteOffset % 4 !== 0) return 0;
  const w = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
  let at = 0;
  while (at < w.length) {
    const size = varint(w[at] as number);
    const end = at + 1 + (size >> 2);
    if (size < 0 || size % 4 !== 0 || end > w.length) break;
    const layout = layoutOf(w, at + 1, size >> 2);
    if (!layout) break;
    take(w, at + 1, layout);
    at = end;
  }
  return 4 * at;
}

/** The same, as events. */
export function eachWritten(bytes: Uint8Array, take: (event: Event) => void): number {
  return eachLayout(bytes, (w, at, layout) => take(eventAt(w, at, layout)));
}

const copy = new Int32Array(LARGEST);
const copyBytes = new Uint8Array(copy.buffer);

/** One record without its length; null where this version's BPF does not write such. */
export function readWritten(bytes: Uint8Array): Event | null {
  if (bytes.length % 4 !== 0 || bytes.length > copyBytes.length) return null;
  copyBytes.set(bytes);
  const layout = layoutOf(copy, 0, bytes.length >>> 2);
  return layout && eventAt(copy, 0, layout);
}
