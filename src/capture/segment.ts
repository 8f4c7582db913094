// SPDX-License-Identifier: Apache-2.0

import { type CaptureReader, segmentBytes } from '../native/capture.ts';

/** Which end of a connection: the lower one in its key, or the other. */
export type Side = 0 | 1;

/**
 * What the headers of a captured segment say; of an ICMP error, of the segment that it quotes. There is one for all
 * segments of a capture, which passes: who looks at it later keeps a copy.
 */
export class Segment {
  /** Wall clock. */
  sec = 0;
  nsec = 0;
  what: 'segment' | 'icmp' | 'gap' = 'gap';
  /** Both ends, the same for both directions: 16 bytes of address and 2 of port each, as Latin-1. */
  key = '';
  /** A small number: the same for all of that key, and for few others. */
  slot = 0;
  /** Who sent it. */
  side: Side = 0;
  flags = 0;
  seq = 0;
  ack = 0;
  /** As on the wire, unscaled. */
  window = 0;
  payload_len = 0;
  ttl = 0;
  /** Of IPv4. */
  ip_id = 0;
  /** Of the device whose segment it is, in two parts; all zero: not told. */
  mac_high = 0;
  mac_low = 0;
  /** Where it was captured, as far as the capture tells: of the same number, the same device. */
  device = 0;
  has_timestamps = false;
  tsval = 0;
  tsecr = 0;
  /** Null: none. */
  scale: number | null = null;
  /** Not all of its options were captured. */
  options_cut = false;
  /** Subtype of its MPTCP option, UNKNOWN_SUBTYPE where it may have one; null: it has none. */
  mptcp: number | null = null;
  /** For whom its sender says it sends; null: it does not say. */
  toa: { kind: number; port: number; addr: Uint8Array } | null = null;
  /** Which way it went, as cooked captures tell; null: not told. */
  outgoing: boolean | null = null;
  /** Of an ICMP error. */
  icmp: { type: number; code: number; from: Uint8Array } | null = null;
}

/** A copy of one that has passed. */
export class Kept extends Segment {
  static of(segment: Segment): Kept {
    return new Kept().take(segment);
  }

  take(segment: Segment): this {
    this.sec = segment.sec;
    this.nsec = segment.nsec;
    this.what = segment.what;
    this.key = segment.key;
    this.slot = segment.slot;
    this.side = segment.side;
    this.flags = segment.flags;
    this.seq = segment.seq;
    this.ack = segment.ack;
    this.window = segment.window;
    this.payload_len = segment.payload_len;
    this.ttl = segment.ttl;
    this.ip_id = segment.ip_id;
    this.mac_high = segment.mac_high;
    this.mac_low = segment.mac_low;
    this.device = segment.device;
    this.has_timestamps = segment.has_timestamps;
    this.tsval = segment.tsval;
    this.tsecr = segment.tsecr;
    this.scale = segment.scale;
    this.options_cut = segment.options_cut;
    this.mptcp = segment.mptcp;
    this.toa = segment.toa;
    this.outgoing = segment.outgoing;
    this.icmp = segment.icmp;
    return this;
  }
}

export const UNKNOWN_SUBTYPE = 0xff;
const WHAT = [null, 'segment', 'icmp', 'gap'] as const;
const BIT = {
  by_second_end: 1,
  has_timestamps: 2,
  outgoing: 4,
  incoming: 8,
  options_cut: 16,
  has_mptcp: 32,
} as const;
const NO_SCALE = 0xff;
const KEY_AT = 48;
const KEY_BYTES = 36;
const MAC_AT = 100;
const DEVICE_AT = 136;
const SLOT_AT = 140;
/** A power of two. */
export const SLOTS = 1 << 12;
const END_BYTES = 18;
const ADDRESS_BYTES = 16;

/** Records that are in memory at once. */
const RECORDS = 1024;
const NOTHING = new Uint8Array(0);

/** The segments of a capture, by the records of src/native/capture_packet.rs. */
export class Segments {
  readonly #reader: CaptureReader;
  readonly #size = segmentBytes();
  readonly #records = Buffer.alloc(RECORDS * this.#size);
  readonly #view = new DataView(this.#records.buffer, this.#records.byteOffset);
  readonly #passing = new Segment();
  /** By their slot: most segments have the key of one before. */
  readonly #keys = new Array<string | undefined>(SLOTS).fill(undefined);

  constructor(reader: CaptureReader) {
    this.#reader = reader;
  }

  /** Each segment in the next bytes, cut anywhere, to `take`. Throws with `code` ENOCAPTURE where it is no capture. */
  push(chunk: Uint8Array, take: (segment: Segment) => void): void {
    let count = this.#reader.push(chunk, this.#records);
    while (count > 0) {
      for (let at = 0; at < count * this.#size; at += this.#size) {
        this.#readKey(at, this.#passing);
        read(this.#records, this.#view, at, this.#passing);
        take(this.#passing);
      }
      count = this.#reader.push(NOTHING, this.#records);
    }
  }

  #readKey(at: number, into: Segment): void {
    const told = this.#view.getInt32(at + SLOT_AT, true);
    into.slot = told & (SLOTS - 1);
    const known = told < 0 ? undefined : this.#keys[into.slot];
    into.key = known ?? this.#records.toString('latin1', at + KEY_AT, at + KEY_AT + KEY_BYTES);
    if (known === undefined) this.#keys[into.slot] = into.key;
  }
}

/** All but its key. */
function read(records: Buffer, view: DataView, at: number, into: Segment): void {
  const bits = view.getUint8(at + 9);
  const scale = view.getUint8(at + 38);
  const toa_kind = view.getUint8(at + 39);
  into.sec = view.getUint32(at, true);
  into.nsec = view.getUint32(at + 4, true);
  into.what = WHAT[view.getUint8(at + 8)] ?? 'gap';
  into.side = bits & BIT.by_second_end ? 1 : 0;
  into.flags = view.getUint8(at + 10);
  into.seq = view.getUint32(at + 12, true);
  into.ack = view.getUint32(at + 16, true);
  into.window = view.getUint16(at + 20, true);
  into.payload_len = view.getUint32(at + 24, true);
  into.ttl = view.getUint8(at + 11);
  into.ip_id = view.getUint16(at + 22, true);
  into.mac_high = view.getUint16(at + MAC_AT);
  into.mac_low = view.getInt32(at + MAC_AT + 2);
  into.device = view.getInt32(at + DEVICE_AT, true);
  into.has_timestamps = (bits & BIT.has_timestamps) !== 0;
  into.tsval = view.getUint32(at + 28, true);
  into.tsecr = view.getUint32(at + 32, true);
  into.scale = scale === NO_SCALE ? null : scale;
  into.options_cut = (bits & BIT.options_cut) !== 0;
  into.mptcp = bits & BIT.has_mptcp ? view.getUint8(at + 42) : null;
  into.toa =
    toa_kind === 0
      ? null
      : {
          kind: toa_kind,
          port: view.getUint16(at + 40, true),
          addr: Uint8Array.prototype.slice.call(records, at + 84, at + 84 + ADDRESS_BYTES),
        };
  into.outgoing = bits & BIT.outgoing ? true : bits & BIT.incoming ? false : null;
  into.icmp =
    into.what === 'icmp'
      ? {
          type: view.getUint8(at + 43),
          code: view.getUint8(at + 44),
          from: Uint8Array.prototype.slice.call(records, at + 112, at + 112 + ADDRESS_BYTES),
        }
      : null;
}

/** The same segment on two devices of one host, or as a mirror copied it, is so far apart at most. */
const COPY_NS = 5e6;

/** The same segment, as it went by another device so much later. */
export function isCopy(one: Segment, other: Segment, later_ns: number): boolean {
  return (
    later_ns < COPY_NS &&
    one.seq === other.seq &&
    one.ack === other.ack &&
    one.flags === other.flags &&
    one.payload_len === other.payload_len &&
    one.window === other.window &&
    one.tsval === other.tsval &&
    one.tsecr === other.tsecr &&
    one.ip_id === other.ip_id
  );
}

/** One end of a key: address and port together, as Latin-1. */
export function endOfKey(key: string, side: Side): string {
  return side === 0 ? key.slice(0, END_BYTES) : key.slice(END_BYTES);
}

/** The key of what is between two ends, and which of the two the first of them is. */
export function keyOfEnds(one: string, other: string): { key: string; side: Side } {
  return one <= other ? { key: one + other, side: 0 } : { key: other + one, side: 1 };
}

/** An end as it stands in a key. */
export function endOf({ addr, port }: { addr: Uint8Array; port: number }): string {
  return `${Buffer.from(addr).toString('latin1')}${String.fromCharCode(port >> 8, port & 0xff)}`;
}

const V4 = `${'\0'.repeat(10)}\xff\xff`;

/** The family of a key; an address of IPv4 is ::ffff:a.b.c.d. */
export function isV4(key: string): boolean {
  return key.startsWith(V4);
}

/** The MAC of the device that it came from, 12 hexadecimal digits; empty: not told. */
export function macOf({ mac_high, mac_low }: Segment): string {
  if (mac_high === 0 && mac_low === 0) return '';
  const hex = (part: number, digits: number) => part.toString(16).padStart(digits, '0');
  return hex(mac_high, 4) + hex(mac_low >>> 0, 8);
}

export function addressPart(end: string): string {
  return end.slice(0, ADDRESS_BYTES);
}

export function addressOf(end: string): Uint8Array {
  return Buffer.from(addressPart(end), 'latin1');
}

export function portOf(end: string): number {
  return end.charCodeAt(ADDRESS_BYTES) * 256 + end.charCodeAt(ADDRESS_BYTES + 1);
}

export function otherSide(side: Side): Side {
  return side === 0 ? 1 : 0;
}
