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
  ip_id: number;
  has_timestamps: boolean;
  tsval: number;
  tsecr: number;
  /** 0: none. */
  mss: number;
  /** Null: none. */
  scale: number | null;
  /** Its options were cut off, or make no sense. */
  options_unreadable: boolean;
  /** Subtype of its MPTCP option; null: it has none. */
  mptcp: number | null;
  /** For whom its sender says it sends; null: it does not say. */
  toa: { kind: number; port: number; addr: Uint8Array } | null;
  /** Which way it went, as cooked captures tell; null: not told. */
  outgoing: boolean | null;
  /** Of an ICMP error. */
  icmp: { type: number; code: number; from: Uint8Array } | null;
}

const WHAT = [null, 'segment', 'icmp', 'gap'] as const;
const BIT = {
  by_second_end: 1,
  has_timestamps: 2,
  outgoing: 4,
  incoming: 8,
  options_unreadable: 16,
  has_mptcp: 32,
} as const;
const NO_SCALE = 0xff;
const KEY_AT = 48;
const KEY_BYTES = 36;
const END_BYTES = 18;
const ADDRESS_BYTES = 16;

/** The records of src/native/capture_packet.rs, each of `size` bytes. */
export function* segmentsOf(records: Buffer, size: number): Generator<Segment> {
  const view = new DataView(records.buffer, records.byteOffset, records.length);
  for (let at = 0; at + size <= records.length; at += size) yield segmentAt(records, view, at);
}

function segmentAt(records: Buffer, view: DataView, at: number): Segment {
  const bits = view.getUint8(at + 9);
  const scale = view.getUint8(at + 38);
  const toa_kind = view.getUint8(at + 39);
  const what = WHAT[view.getUint8(at + 8)] ?? 'gap';
  return {
    sec: view.getUint32(at, true),
    nsec: view.getUint32(at + 4, true),
    what,
    key: records.toString('latin1', at + KEY_AT, at + KEY_AT + KEY_BYTES),
    side: bits & BIT.by_second_end ? 1 : 0,
    flags: view.getUint8(at + 10),
    seq: view.getUint32(at + 12, true),
    ack: view.getUint32(at + 16, true),
    window: view.getUint16(at + 20, true),
    payload_len: view.getUint32(at + 24, true),
    ttl: view.getUint8(at + 11),
    ip_id: view.getUint16(at + 22, true),
    has_timestamps: (bits & BIT.has_timestamps) !== 0,
    tsval: view.getUint32(at + 28, true),
    tsecr: view.getUint32(at + 32, true),
    mss: view.getUint16(at + 36, true),
    scale: scale === NO_SCALE ? null : scale,
    options_unreadable: (bits & BIT.options_unreadable) !== 0,
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
