// SPDX-License-Identifier: Apache-2.0

import type { Event } from './event.ts';
import type { Words } from './words.ts';
import { BODY_TAG } from './written.gen.ts';
import { eventAt, LARGEST, type Layout, layoutNumbered, varint } from './written.ts';

/** Each kind has grown a few times. */
const MAX_SHAPES = 64;

/** What the BPF of an earlier version wrote: a layout of this one without what was added since. */
interface Shape {
  layout: Layout;
  words: number;
  /** As those of a layout. */
  tags: readonly number[];
  /** In threes: from which word, to which word of the layout, how many. */
  values: Int32Array;
}

const shapes: Shape[] = [];
const copy = new Int32Array(LARGEST);
const copyBytes = new Uint8Array(copy.buffer);
const widened = new Int32Array(LARGEST);

/** One record without its length, if one of its shape was learned before. */
export function readEarlier(bytes: Uint8Array): Event | null {
  const words = copied(bytes);
  if (words === 0) return null;
  const shape = shapes.find((one) => one.words === words && hasTags(copy, one.tags));
  if (!shape) return null;
  const { values, layout } = shape;
  widened.fill(0, 0, layout.words);
  for (let i = 0; i < values.length; i += 3) {
    const from = values[i] as number;
    const to = values[i + 1] as number;
    const count = values[i + 2] as number;
    for (let n = 0; n < count; n++) widened[to + n] = copy[from + n] as number;
  }
  return eventAt(widened, 0, layout);
}

/**
 * Takes in the shape of a record of an earlier version, of which decodeAnyEvent has made an event: no
 * message that has to be there is missing in it. Then what is missing reads as zeros do.
 */
export function learnEarlier(bytes: Uint8Array): void {
  const words = shapes.length < MAX_SHAPES ? copied(bytes) : 0;
  if (words === 0) return;
  const layout = layoutNumbered(varint(copy[BODY_TAG] as number) >> 3);
  if (!layout || layout.words <= words) return;
  const walk = new Walk(layout.tags);
  if (!walk.message(0, words, 0, layout.words)) return;
  const tags = walk.tags;
  const values = Int32Array.from(walk.values);
  shapes.push({ layout, words, tags, values });
}

/** How many words `copy` has of it; 0 where it is no record of BPF. */
function copied(bytes: Uint8Array): number {
  const { length } = bytes;
  if (length % 4 !== 0 || length > copyBytes.length || length <= 4 * BODY_TAG) return 0;
  copyBytes.set(bytes);
  return length >>> 2;
}

function hasTags(w: Words, tags: readonly number[]): boolean {
  for (let i = 0; i < tags.length; i += 2) {
    if (w[tags[i] as number] !== tags[i + 1]) return false;
  }
  return true;
}

const FIXED64 = 1;
const DELIMITED = 2;

/** Goes over the record in `copy` beside a layout. */
class Walk {
  readonly tags: number[] = [];
  readonly values: number[] = [];
  /** Each tag and length of the layout by its place. */
  readonly #layout = new Map<number, number>();

  constructor(tags: readonly number[]) {
    for (let i = 0; i < tags.length; i += 2)
      this.#layout.set(tags[i] as number, tags[i + 1] as number);
  }

  /** Whether the fields between `from` and `end` are the first of those between `at` and `limit`. */
  message(from: number, end: number, at: number, limit: number): boolean {
    let here = from;
    let there = at;
    while (here < end && there < limit) {
      const { head, size: wanted, isMessage } = this.#field(there);
      if (copy[here] !== this.#layout.get(there)) return false;
      const size = head === 2 ? varint(copy[here + 1] ?? 0) >> 2 : wanted;
      const [value, target] = [here + head, there + head];
      if (size < 0 || value + size > end) return false;
      for (let i = here; i < value; i++) this.tags.push(i, copy[i] as number);
      if (!isMessage) {
        if (size !== wanted) return false;
        this.values.push(value, target, size);
      } else if (!this.message(value, value + size, target, target + wanted)) {
        return false;
      }
      here = value + size;
      there = target + wanted;
    }
    return here === end && this.#mayLack(there, limit);
  }

  /** Numbers that are missing are zero, and so is a message that may be; an address is no zeros. */
  #mayLack(at: number, limit: number): boolean {
    for (let there = at; there < limit; ) {
      const { head, size, isMessage } = this.#field(there);
      if (head === 2 && !isMessage) return false;
      there += head + size;
    }
    return true;
  }

  /** The field of the layout whose tag is at a place: words before its value, and words of it. */
  #field(at: number): { head: 1 | 2; size: number; isMessage: boolean } {
    const wire = varint(this.#layout.get(at) ?? 0) & 7;
    if (wire !== DELIMITED) return { head: 1, size: wire === FIXED64 ? 2 : 1, isMessage: false };
    const size = varint(this.#layout.get(at + 1) ?? 0) >> 2;
    return { head: 2, size, isMessage: this.#layout.has(at + 2) };
  }
}
