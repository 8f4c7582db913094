// SPDX-License-Identifier: Apache-2.0

/** Which end of a connection: the lower one in its key, or the other. */
export type Side = 0 | 1;

/** What the headers of a captured segment say; of an ICMP error, of the segment that it quotes. */
export interface Segment {
  /** Wall clock. */
  sec: number;
  nsec: number;
  what: 'segment' | 'icmp' | 'gap';
  /** Both ends, the same for both directions: 16 bytes of address and 2 of port each, as Latin-1. */
  key: string;
  /** Who sent it. */
  side: Side;
  flags: number;
  seq: number;
  ack: number;
  /** As on the wire, unscaled. */
  window: number;
  payload_len: number;
  ttl: number;
  /** Of IPv4. */
  ip_id: number;
  /** Of the device whose segment it is, in two parts; all zero: not told. */
  mac_high: number;
  mac_low: number;
  /** Where it was captured, as far as the capture tells: of the same number, the same device. */
  device: number;
  has_timestamps: boolean;
  tsval: number;
  tsecr: number;
  /** Null: none. */
  scale: number | null;
  /** Not all of its options were captured. */
  options_cut: boolean;
  /** Subtype of its MPTCP option, UNKNOWN_SUBTYPE where it may have one; null: it has none. */
  mptcp: number | null;
  /** For whom its sender says it sends; null: it does not say. */
  toa: { kind: number; port: number; addr: Uint8Array } | null;
  /** Which way it went, as cooked captures tell; null: not told. */
  outgoing: boolean | null;
  /** Of an ICMP error. */
  icmp: { type: number; code: number; from: Uint8Array } | null;
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
const SLOT_BITS = 0xfff;
const END_BYTES = 18;
const ADDRESS_BYTES = 16;

/** Reads the records of src/native/capture_packet.rs, each of `size` bytes. */
export class Segments {
  readonly #size: number;
  /** By their slot: most segments have the key of one before. */
  readonly #keys: string[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  /** Each of `records`, in their order, to `take`. */
  each(records: Buffer, take: (segment: Segment) => void): void {
    const view = new DataView(records.buffer, records.byteOffset, records.length);
    for (let at = 0; at + this.#size <= records.length; at += this.#size)
      take(segmentAt(records, view, at, this.#keyAt(records, view, at)));
  }

  #keyAt(records: Buffer, view: DataView, at: number): string {
    const told = view.getInt32(at + SLOT_AT, true);
    const slot = told & SLOT_BITS;
    const known = told < 0 ? undefined : this.#keys[slot];
    if (known !== undefined) return known;
    const key = records.toString('latin1', at + KEY_AT, at + KEY_AT + KEY_BYTES);
    this.#keys[slot] = key;
    return key;
  }
}

function segmentAt(records: Buffer, view: DataView, at: number, key: string): Segment {
  const bits = view.getUint8(at + 9);
  const scale = view.getUint8(at + 38);
  const toa_kind = view.getUint8(at + 39);
  const what = WHAT[view.getUint8(at + 8)] ?? 'gap';
  return {
    sec: view.getUint32(at, true),
    nsec: view.getUint32(at + 4, true),
    what,
    key,
    side: bits & BIT.by_second_end ? 1 : 0,
    flags: view.getUint8(at + 10),
    seq: view.getUint32(at + 12, true),
    ack: view.getUint32(at + 16, true),
    window: view.getUint16(at + 20, true),
    payload_len: view.getUint32(at + 24, true),
    ttl: view.getUint8(at + 11),
    ip_id: view.getUint16(at + 22, true),
    mac_high: view.getUint16(at + MAC_AT),
    mac_low: view.getInt32(at + MAC_AT + 2),
    device: view.getInt32(at + DEVICE_AT, true),
    has_timestamps: (bits & BIT.has_timestamps) !== 0,
    tsval: view.getUint32(at + 28, true),
    tsecr: view.getUint32(at + 32, true),
    scale: scale === NO_SCALE ? null : scale,
    options_cut: (bits & BIT.options_cut) !== 0,
    mptcp: bits & BIT.has_mptcp ? view.getUint8(at + 42) : null,
    toa:
      toa_kind === 0
        ? null
        : {
            kind: toa_kind,
            port: view.getUint16(at + 40, true),
            addr: Uint8Array.prototype.slice.call(records, at + 84, at + 84 + ADDRESS_BYTES),
          },
    outgoing: bits & BIT.outgoing ? true : bits & BIT.incoming ? false : null,
    icmp:
      what === 'icmp'
        ? {
            type: view.getUint8(at + 43),
            code: view.getUint8(at + 44),
            from: Uint8Array.prototype.slice.call(records, at + 112, at + 112 + ADDRESS_BYTES),
          }
        : null,
  };
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
