// SPDX-License-Identifier: Apache-2.0

import { type CaptureReader, segmentBytes } from '../native/capture.ts';
import { type Addresses, addressesOf, Ends, NOWHERE, type Side } from './ends.ts';

export const UNKNOWN_SUBTYPE = 0xff;
const WHAT = [null, 'segment', 'icmp', 'gap'] as const;
const ICMP = 2;
/** In the second byte of its first word but two. */
const BIT = {
  by_second_end: 1 << 8,
  has_timestamps: 2 << 8,
  outgoing: 4 << 8,
  incoming: 8 << 8,
  options_cut: 16 << 8,
  has_mptcp: 32 << 8,
} as const;
/** Where the words of a record lie, four bytes each. */
const WORD = {
  /** What it is, BIT, flags and TTL. */
  head: 2,
  seq: 3,
  ack: 4,
  window_id: 5,
  length: 6,
  tsval: 7,
  tsecr: 8,
  /** With SLOT_ANEW, window scale, and subtype of MPTCP. */
  slot_options: 9,
  /** Its upper half. */
  mac_high: 25,
  mac_low: 26,
  /** With SLOT_ANEW. */
  address_slot: 32,
  first_hash: 33,
  device: 34,
  second_hash: 35,
} as const;
const NO_SCALE = 0xff;
const TOA_PORT_AT = 40;
const TOA_KIND_AT = 42;
const ICMP_TYPE_AT = 43;
const ICMP_CODE_AT = 44;
const KEY_AT = 48;
const KEY_BYTES = 36;
const TOA_AT = 84;
const ICMP_FROM_AT = 112;
/** A power of two. */
export const SLOTS = 1 << 12;
const SLOT_ANEW = 1 << 15;
const ADDRESS_BYTES = 16;
const MAC_BYTES = 6;

/** What few segments have. */
interface Rare {
  toa: Segment['toa'];
  icmp: Segment['icmp'];
}

/**
 * What the headers of a captured segment say; of an ICMP error, of the segment that it quotes. There is one for all
 * segments of a capture, which passes: who looks at it later keeps a copy. It is words of the record, as they are:
 * small integers to V8, which other numbers have an object each for.
 */
export class Segment {
  ends = NOWHERE;
  #head = 0;
  #seq = 0;
  #ack = 0;
  #window_id = 0;
  #length = 0;
  #tsval = 0;
  #tsecr = 0;
  #slot_options = 0;
  /** Of the device whose segment it is, in two parts, as their bytes lie; both zero: not told. */
  mac_high = 0;
  mac_low = 0;
  /** Where it was captured, as far as the capture tells: of the same number, the same device. */
  device = 0;
  #rare: Rare | null = null;

  /** All but its ends: a record that begins with this word. */
  protected read(words: Int32Array, at: number, rare: Rare | null): void {
    this.#head = words[at + WORD.head] ?? 0;
    this.#seq = words[at + WORD.seq] ?? 0;
    this.#ack = words[at + WORD.ack] ?? 0;
    this.#window_id = words[at + WORD.window_id] ?? 0;
    this.#length = words[at + WORD.length] ?? 0;
    this.#tsval = words[at + WORD.tsval] ?? 0;
    this.#tsecr = words[at + WORD.tsecr] ?? 0;
    this.#slot_options = words[at + WORD.slot_options] ?? 0;
    this.mac_high = (words[at + WORD.mac_high] ?? 0) >>> 16;
    this.mac_low = words[at + WORD.mac_low] ?? 0;
    this.device = words[at + WORD.device] ?? 0;
    this.#rare = rare;
  }

  protected copy(segment: Segment): void {
    this.ends = segment.ends;
    this.#head = segment.#head;
    this.#seq = segment.#seq;
    this.#ack = segment.#ack;
    this.#window_id = segment.#window_id;
    this.#length = segment.#length;
    this.#tsval = segment.#tsval;
    this.#tsecr = segment.#tsecr;
    this.#slot_options = segment.#slot_options;
    this.mac_high = segment.mac_high;
    this.mac_low = segment.mac_low;
    this.device = segment.device;
    this.#rare = segment.#rare;
  }

  /** Both ends, the same for both directions: 16 bytes of address and 2 of port each, as Latin-1. */
  get key(): string {
    return this.ends.key;
  }

  get what(): 'segment' | 'icmp' | 'gap' {
    return WHAT[this.#head & 0xff] ?? 'gap';
  }

  /** A small number: the same for all of that key, and for few others. */
  get slot(): number {
    return this.#slot_options & (SLOTS - 1);
  }

  /** Who sent it. */
  get side(): Side {
    return this.#head & BIT.by_second_end ? 1 : 0;
  }

  get flags(): number {
    return (this.#head >>> 16) & 0xff;
  }

  get seq(): number {
    return this.#seq >>> 0;
  }

  get ack(): number {
    return this.#ack >>> 0;
  }

  /** As on the wire, unscaled. */
  get window(): number {
    return this.#window_id & 0xffff;
  }

  get payload_len(): number {
    return this.#length >>> 0;
  }

  get ttl(): number {
    return this.#head >>> 24;
  }

  /** Of IPv4. */
  get ip_id(): number {
    return this.#window_id >>> 16;
  }

  get has_timestamps(): boolean {
    return (this.#head & BIT.has_timestamps) !== 0;
  }

  get tsval(): number {
    return this.#tsval >>> 0;
  }

  get tsecr(): number {
    return this.#tsecr >>> 0;
  }

  /** Null: none. */
  get scale(): number | null {
    const scale = (this.#slot_options >>> 16) & 0xff;
    return scale === NO_SCALE ? null : scale;
  }

  /** Not all of its options were captured. */
  get options_cut(): boolean {
    return (this.#head & BIT.options_cut) !== 0;
  }

  /** Subtype of its MPTCP option, UNKNOWN_SUBTYPE where it may have one; null: it has none. */
  get mptcp(): number | null {
    return this.#head & BIT.has_mptcp ? this.#slot_options >>> 24 : null;
  }

  /** For whom its sender says it sends; null: it does not say. */
  get toa(): { kind: number; port: number; addr: Uint8Array } | null {
    return this.#rare === null ? null : this.#rare.toa;
  }

  /** Which way it went, as cooked captures tell; null: not told. */
  get outgoing(): boolean | null {
    return this.#head & BIT.outgoing ? true : this.#head & BIT.incoming ? false : null;
  }

  /** Of an ICMP error. */
  get icmp(): { type: number; code: number; from: Uint8Array } | null {
    return this.#rare === null ? null : this.#rare.icmp;
  }

  /** The same segment as another: all that a copy of it has too. */
  isAs(other: Segment): boolean {
    return (
      this.#seq === other.#seq &&
      this.#ack === other.#ack &&
      this.#length === other.#length &&
      this.#window_id === other.#window_id &&
      this.#tsval === other.#tsval &&
      this.#tsecr === other.#tsecr &&
      this.flags === other.flags
    );
  }
}

/** A copy of one that has passed. */
export class Kept extends Segment {
  static of(segment: Segment): Kept {
    return new Kept().take(segment);
  }

  take(segment: Segment): this {
    this.copy(segment);
    return this;
  }
}

/** The one that passes. */
export class Passing extends Segment {
  /** Wall clock. */
  sec = 0;
  nsec = 0;

  next(words: Int32Array, at: number, rare: Rare | null): void {
    this.sec = (words[at] ?? 0) >>> 0;
    this.nsec = words[at + 1] ?? 0;
    this.read(words, at, rare);
  }
}

/** Records that are in memory at once. */
const RECORDS = 1024;

/** The segments of a capture, by the records of src/native/capture_packet.rs. */
export class Segments {
  readonly #reader: CaptureReader;
  readonly #size = segmentBytes();
  readonly #records = Buffer.alloc(RECORDS * this.#size);
  readonly #words = new Int32Array(this.#records.buffer, this.#records.byteOffset);
  readonly #passing = new Passing();
  /** By their slot: most segments have the ends, or the addresses, of one before. */
  readonly #ends = new Array<Ends | undefined>(SLOTS).fill(undefined);
  readonly #addresses = new Array<Addresses | undefined>(SLOTS).fill(undefined);

  constructor(reader: CaptureReader) {
    this.#reader = reader;
  }

  /** The next bytes, cut anywhere: what they tell is taken later; `ahead`: they are read meanwhile. */
  give(bytes: Uint8Array, ahead = false): void {
    this.#reader.give(bytes, ahead);
  }

  /** Each segment in what was given next, to `take`. Throws with `code` ENOCAPTURE where it is no capture. */
  take(take: (segment: Passing) => void): void {
    for (;;) {
      const count = this.#reader.take(this.#records);
      if (count === 0) return;
      for (let at = 0; at < count * this.#size; at += this.#size) {
        this.#read(at);
        take(this.#passing);
      }
    }
  }

  #read(at: number): void {
    const word = at / 4;
    this.#passing.ends = this.#endsOf(at, word);
    this.#passing.next(this.#words, word, rareOf(this.#records, at));
  }

  #endsOf(at: number, word: number): Ends {
    const told = this.#words[word + WORD.slot_options] ?? 0;
    const slot = told & (SLOTS - 1);
    const known = told & SLOT_ANEW ? undefined : this.#ends[slot];
    if (known) return known;
    const key = this.#records.toString('latin1', at + KEY_AT, at + KEY_AT + KEY_BYTES);
    const addresses = this.#addressesOf(this.#words[word + WORD.address_slot] ?? 0, key);
    const first = this.#words[word + WORD.first_hash] ?? 0;
    const second = this.#words[word + WORD.second_hash] ?? 0;
    const ends = new Ends(key, addresses, first, second);
    this.#ends[slot] = ends;
    return ends;
  }

  #addressesOf(told: number, key: string): Addresses {
    const slot = told & (SLOTS - 1);
    const known = told & SLOT_ANEW ? undefined : this.#addresses[slot];
    const addresses = known ?? addressesOf(key);
    this.#addresses[slot] = addresses;
    return addresses;
  }
}

function rareOf(records: Buffer, at: number): Rare | null {
  const kind = records[at + TOA_KIND_AT] ?? 0;
  const is_icmp = records[at + 8] === ICMP;
  if (kind === 0 && !is_icmp) return null;
  const address = (from: number) =>
    Uint8Array.prototype.slice.call(records, at + from, at + from + ADDRESS_BYTES);
  const port = records.readUInt16LE(at + TOA_PORT_AT);
  const type = records[at + ICMP_TYPE_AT] ?? 0;
  const code = records[at + ICMP_CODE_AT] ?? 0;
  return {
    toa: kind === 0 ? null : { kind, port, addr: address(TOA_AT) },
    icmp: is_icmp ? { type, code, from: address(ICMP_FROM_AT) } : null,
  };
}

/** The same segment on two devices of one host, or as a mirror copied it, is so far apart at most. */
const COPY_NS = 5e6;

/** The same segment, as it went by another device so much later. */
export function isCopy(one: Segment, other: Segment, later_ns: number): boolean {
  return later_ns < COPY_NS && one.isAs(other);
}

/** The MAC of the device that it came from, 12 hexadecimal digits; empty: not told. */
export function macOf({ mac_high, mac_low }: Segment): string {
  if (mac_high === 0 && mac_low === 0) return '';
  const bytes = Buffer.alloc(MAC_BYTES);
  bytes.writeUInt16LE(mac_high, 0);
  bytes.writeInt32LE(mac_low, 2);
  return bytes.toString('hex');
}
