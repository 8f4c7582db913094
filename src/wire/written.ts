// SPDX-License-Identifier: Apache-2.0

import type { Event } from './event.ts';
import { number64, u64, type Words } from './words.ts';
import { AT, BODY, BODY_TAG, BRIEF, readCommon, WRITTEN } from './written.gen.ts';

/**
 * A kind of record that BPF writes: where everything lies in it, in words from its beginning, and the
 * words that are the record's length and the tag and length of its body.
 */
export type Layout = (typeof WRITTEN)[keyof typeof WRITTEN] | (typeof BRIEF)[keyof typeof BRIEF];

const LAYOUTS = byNumber(WRITTEN);
const BRIEF_LAYOUTS = byNumber(BRIEF);
/** Words of the longest record. */
export const LARGEST = Math.max(...Object.values(WRITTEN).map(({ words }) => words));

function byNumber(layouts: { [number: number]: Layout }): (Layout | undefined)[] {
  const all: (Layout | undefined)[] = [];
  for (const [number, layout] of Object.entries(layouts)) all[Number(number)] = layout;
  return all;
}

/** By the number of the body. */
export function layoutNumbered(number: number): Layout | null {
  return LAYOUTS[number] ?? null;
}

/** A padded varint of four bytes, as BPF writes tags and lengths; -1 where it is none. */
export function varint(word: number): number {
  if ((word & 0x80808080) !== 0x00808080) return -1;
  return (
    (word & 0x7f) | ((word & 0x7f00) >> 1) | ((word & 0x7f0000) >> 2) | ((word & 0x7f000000) >> 3)
  );
}

/** What the record at `at` claims to be, by its body's tag and length. */
function layoutOf(w: Words, at: number): Layout | null {
  const tag = w[at + BODY_TAG] as number;
  const number = ((tag & 0x7f) | ((tag >> 1) & 0x3f80)) >> 3;
  const size = w[at + BODY_TAG + 1];
  const whole = LAYOUTS[number];
  const layout = whole?.size === size ? whole : BRIEF_LAYOUTS[number];
  return layout && layout.tag === tag && layout.size === size ? layout : null;
}

/** Whether all tags and lengths are those of the layout. */
function isSound(w: Words, at: number, { tags }: Layout): boolean {
  for (let i = 0; i < tags.length; i += 2) {
    if (w[at + (tags[i] as number)] !== tags[i + 1]) return false;
  }
  return true;
}

/** A record that is decoded when somebody asks (wire/decode.ts, eventOf). */
export class Written {
  readonly w: Words;
  readonly at: number;
  readonly layout: Layout;
  readonly ktime_ns: number;
  readonly #stays: boolean;

  /** Where `w` does not stay as it is, it is another's later. */
  constructor(w: Words, at: number, layout: Layout, stays: boolean) {
    this.w = w;
    this.at = at;
    this.layout = layout;
    this.#stays = stays;
    this.ktime_ns = number64(w, at + AT.Event.ktime_ns);
  }

  /** It stands for itself alone, and is only to be counted: nothing was left of its key's share. */
  get tokenless(): boolean {
    return this.w[this.at + AT.Event.occurrences] === 0;
  }

  get key(): string {
    return u64(this.w, this.at + AT.Event.key);
  }

  /** Whether everything in it is where the layout says. */
  get sound(): boolean {
    return isSound(this.w, this.at, this.layout);
  }

  /** The same in words that stay as they are. */
  get own(): Written {
    const { w, at, layout } = this;
    if (this.#stays) return this;
    const own = placeFor(layout.words);
    block.set(w.subarray(at, at + layout.words), own);
    used += layout.words;
    return new Written(block, own, layout, true);
  }

  get bytes(): Uint8Array {
    const { w, at, layout } = this;
    return new Uint8Array(w.buffer, w.byteOffset + 4 * at, 4 * layout.words);
  }
}

/** A message that is decoded again: as bytes it takes a fifth of what the event takes. */
export class Encoded {
  readonly ktime_ns: number;
  readonly length: number;
  readonly #block: Words;
  readonly #at: number;

  /** `bytes` may be another's later. */
  constructor(bytes: Uint8Array, ktime_ns: number) {
    this.ktime_ns = ktime_ns;
    this.length = bytes.length;
    const words = Math.ceil(bytes.length / 4);
    this.#at = placeFor(words);
    this.#block = block;
    blockBytes.set(bytes, 4 * this.#at);
    used += words;
  }

  /** A view of its own for each would take as much as half of these. */
  get bytes(): Uint8Array {
    return new Uint8Array(this.#block.buffer, 4 * this.#at, this.length);
  }
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
 * Goes through what claims to be records of this version's BPF at the beginning of a stream. What comes
 * after them is another's.
 */
export class Records {
  readonly w: Words;
  /** Where the record is that `next` found, and its layout. */
  at = 0;
  layout: Layout = FIRST;
  readonly #last: number;
  /** Where the next one begins. */
  #end = 0;

  constructor(bytes: Uint8Array) {
    this.w = isAligned(bytes) ? wordsOf(bytes) : NO_WORDS;
    this.#last = this.w.length;
  }

  next(): boolean {
    const { w } = this;
    const at = this.#end + 1;
    if (at + BODY > this.#last) return false;
    const layout = layoutOf(w, at);
    if (!layout || w[at - 1] !== layout.length || at + layout.words > this.#last) return false;
    this.at = at;
    this.layout = layout;
    this.#end = at + layout.words;
    return true;
  }

  /** Of all that were found. */
  get bytes(): number {
    return 4 * this.#end;
  }
}

const NO_WORDS = new Int32Array(0);
const FIRST = Object.values(WRITTEN)[0] as Layout;

function wordsOf({ buffer, byteOffset, length }: Uint8Array): Words {
  return new Int32Array(buffer, byteOffset, length >>> 2);
}

function isAligned({ byteOffset }: Uint8Array): boolean {
  return byteOffset % 4 === 0;
}

/** Whether a stream begins with a record of BPF: of these alone the length is padded to four bytes. */
export function beginsWithRecord(bytes: Uint8Array): boolean {
  const [a = 0, b = 0, c = 0, d = 0x80] = bytes;
  return (a & b & c & 0x80) !== 0 && (d & 0x80) === 0;
}

/**
 * Where single messages are copied to, one after the other: memory of its own for each costs as much as decoding it.
 * Of blocks below MALLOC_MMAP_THRESHOLD_ (tools/dist/launcher.sh) gaps are left in the heap when they are given up.
 */
const BLOCK_WORDS = 1 << 16;
let block = new Int32Array(BLOCK_WORDS);
let blockBytes = new Uint8Array(block.buffer);
let used = 0;

/** In `block`, of `used` on: for so many words, however many. */
function placeFor(words: number): number {
  if (used + words > block.length) {
    block = new Int32Array(Math.max(words, BLOCK_WORDS));
    blockBytes = new Uint8Array(block.buffer);
    used = 0;
  }
  return used;
}

/** One record without its length; null where this version's BPF does not write such. */
export function writtenIn(bytes: Uint8Array): Written | null {
  const words = bytes.length / 4;
  if (words <= BODY || words > LARGEST || !Number.isInteger(words)) return null;
  const at = placeFor(words);
  blockBytes.set(bytes, 4 * at);
  const layout = layoutOf(block, at);
  if (layout?.words !== words) return null;
  used += words;
  return new Written(block, at, layout, true);
}

const copy = new Int32Array(LARGEST);
const copyBytes = new Uint8Array(copy.buffer);

/** The same, decoded. */
export function readWritten(bytes: Uint8Array): Event | null {
  if (bytes.length % 4 !== 0 || bytes.length > copyBytes.length) return null;
  copyBytes.set(bytes);
  const layout = layoutOf(copy, 0);
  if (layout?.words !== bytes.length >>> 2) return null;
  return isSound(copy, 0, layout) ? eventAt(copy, 0, layout) : null;
}
