// SPDX-License-Identifier: Apache-2.0

import { addressBytes, familyOf, IPV4_AT } from '../tcp/address.ts';

export interface Segment {
  sport: number;
  dport: number;
  seq: number;
  ack: number;
  flags: number;
  window: number;
  payload: Buffer;
  /** The timestamp option, where there is one. */
  timestamps?: { tsval: number; tsecr: number } | null;
  /** Whom it is sent for, in options of a balancer; without a port a byte is in its place. */
  toa?: Toa | readonly Toa[];
  /** Other options of TCP, as they are on the wire. */
  options?: Uint8Array;
  /** With a TCP checksum that is wrong. */
  damaged?: boolean;
  /** Made wrong in its headers. */
  malformed?: 'ip_checksum' | 'ip_length';
  /** Of IPv4: the first fragment of a longer datagram, which has this number. */
  fragment_of?: number;
  /** Its TTL or hop limit, 64 unless given. */
  ttl?: number;
  /** Of IPv4: options between its header and that of TCP, which say nothing; a multiple of 4. */
  ip_options_bytes?: number;
}

export interface Toa {
  kind: number;
  address: string;
  port: number | null;
  claims_bytes?: number;
}

const TCP = 6;
const ETHERNET_BYTES = 14;
const ETHER_TYPE = { 4: 0x0800, 6: 0x86dd } as const;
const IP_BYTES = { 4: 20, 6: 40 } as const;
const OPTION = { end: 0, nop: 1, timestamps: 8 } as const;
const TIMESTAMPS_BYTES = 10;
const DEFAULT_TTL = 64;
/** How many bytes more than there are. */
const TOO_LONG = 100;
const MORE_FRAGMENTS = 0x2000;

/** An Ethernet frame with the segment, checksums right unless it shall be damaged. */
export function frame(
  from: string,
  to: string,
  segment: Segment,
  macs: { from: string; to: string },
): Buffer {
  const family = familyOf(from);
  const ethernet = Buffer.concat([mac(macs.to), mac(macs.from), Buffer.alloc(2)]);
  ethernet.writeUInt16BE(ETHER_TYPE[family], 12);
  const ends = [wireAddress(from), wireAddress(to)];
  const tcp = tcpBytes(segment, Buffer.concat(ends));
  return Buffer.concat([
    ethernet,
    family === 4 ? ipv4Header(tcp.length, ends, segment) : ipv6Header(tcp.length, ends, segment),
    tcp,
  ]);
}

/** The segment in an Ethernet frame, if it is one to this address. */
export function parseFrame(bytes: Buffer, to: string): Segment | null {
  const family = familyOf(to);
  const tcpAt = ETHERNET_BYTES + IP_BYTES[family];
  if (bytes.length < tcpAt + 20 || bytes.readUInt16BE(12) !== ETHER_TYPE[family]) return null;
  const ip = bytes.subarray(ETHERNET_BYTES, tcpAt);
  const protocol = family === 4 ? ip[9] : ip[6];
  const daddr = wireAddress(to);
  if (protocol !== TCP || !ip.subarray(-daddr.length).equals(daddr)) return null;
  const tcp = bytes.subarray(tcpAt);
  const headerBytes = (tcp.readUInt8(12) >> 4) * 4;
  return {
    sport: tcp.readUInt16BE(0),
    dport: tcp.readUInt16BE(2),
    seq: tcp.readUInt32BE(4),
    ack: tcp.readUInt32BE(8),
    flags: tcp.readUInt8(13),
    window: tcp.readUInt16BE(14),
    payload: tcp.subarray(headerBytes),
    timestamps: readTimestamps(tcp.subarray(20, headerBytes)),
  };
}

function readTimestamps(options: Buffer): Segment['timestamps'] {
  for (let at = 0; at < options.length && options[at] !== OPTION.end; ) {
    if (options[at] === OPTION.nop) at++;
    else if (options[at] === OPTION.timestamps)
      return { tsval: options.readUInt32BE(at + 2), tsecr: options.readUInt32BE(at + 6) };
    else at += Math.max(2, options[at + 1] ?? 0);
  }
  return null;
}

function wireAddress(text: string): Uint8Array {
  return addressBytes(text).subarray(familyOf(text) === 6 ? 0 : IPV4_AT);
}

function mac(text: string): Buffer {
  return Buffer.from(text.replaceAll(':', ''), 'hex');
}

function tcpBytes(
  {
    sport,
    dport,
    seq,
    ack,
    flags,
    window,
    payload,
    timestamps,
    toa,
    options: others,
    damaged,
  }: Segment,
  ends: Buffer,
): Buffer {
  const given = Buffer.concat([
    timestamps ? timestampsOption(timestamps) : Buffer.alloc(0),
    ...[toa ?? []].flat().map(toaOption),
    others ?? Buffer.alloc(0),
  ]);
  const options = Buffer.concat([given, Buffer.alloc(-given.length & 3, OPTION.nop)]);
  const tcp = Buffer.alloc(20);
  tcp.writeUInt16BE(sport, 0);
  tcp.writeUInt16BE(dport, 2);
  tcp.writeUInt32BE(seq >>> 0, 4);
  tcp.writeUInt32BE(ack >>> 0, 8);
  tcp.writeUInt8((5 + options.length / 4) << 4, 12);
  tcp.writeUInt8(flags, 13);
  tcp.writeUInt16BE(window, 14);
  const whole = Buffer.concat([tcp, options, payload]);
  const pseudo = Buffer.alloc(4);
  pseudo.writeUInt16BE(TCP, 0);
  pseudo.writeUInt16BE(whole.length, 2);
  const sum = checksum(Buffer.concat([ends, pseudo, whole]));
  whole.writeUInt16BE(damaged ? sum ^ 0x5555 : sum, 16);
  return whole;
}

function timestampsOption({ tsval, tsecr }: { tsval: number; tsecr: number }): Buffer {
  const option = Buffer.from([OPTION.nop, OPTION.nop, OPTION.timestamps, TIMESTAMPS_BYTES]);
  const values = Buffer.alloc(8);
  values.writeUInt32BE(tsval >>> 0, 0);
  values.writeUInt32BE(tsecr >>> 0, 4);
  return Buffer.concat([option, values]);
}

function toaOption({ kind, address, port, claims_bytes }: Toa): Buffer {
  const addr = wireAddress(address);
  const before = port === null ? [1] : [port >> 8, port & 0xff];
  const size = claims_bytes ?? 2 + before.length + addr.length;
  return Buffer.concat([Buffer.from([kind, size, ...before]), addr]);
}

function ipv4Header(
  length: number,
  ends: Uint8Array[],
  { ttl = DEFAULT_TTL, ip_options_bytes: options_bytes = 0, fragment_of, malformed }: Segment,
): Buffer {
  const ip = Buffer.alloc(12);
  ip.writeUInt8(0x45 + options_bytes / 4, 0);
  const beyond = malformed === 'ip_length' ? TOO_LONG : 0;
  ip.writeUInt16BE(20 + options_bytes + length + beyond, 2);
  if (fragment_of !== undefined) {
    ip.writeUInt16BE(fragment_of, 4);
    ip.writeUInt16BE(MORE_FRAGMENTS, 6);
  }
  ip.writeUInt8(ttl, 8);
  ip.writeUInt8(TCP, 9);
  const header = Buffer.concat([ip, ...ends, Buffer.alloc(options_bytes, OPTION.nop)]);
  header.writeUInt16BE(checksum(header) ^ (malformed === 'ip_checksum' ? 0x5555 : 0), 10);
  return header;
}

function ipv6Header(
  length: number,
  ends: Uint8Array[],
  { ttl = DEFAULT_TTL, malformed }: Segment,
): Buffer {
  const ip = Buffer.alloc(8);
  ip.writeUInt8(0x60, 0);
  ip.writeUInt16BE(length + (malformed === 'ip_length' ? TOO_LONG : 0), 4);
  ip.writeUInt8(TCP, 6);
  ip.writeUInt8(ttl, 7);
  return Buffer.concat([ip, ...ends]);
}

/** The sum of RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += at + 1 < bytes.length ? bytes.readUInt16BE(at) : bytes.readUInt8(at) << 8;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}
