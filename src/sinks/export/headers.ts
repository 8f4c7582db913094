// SPDX-License-Identifier: Apache-2.0

import { isIPv4 } from 'node:net';
import { IPV4_AT, parseAddress } from '../../tcp/address.ts';
import type { Flow } from '../../wire/types.gen.ts';

/** A TCP segment as far as an event tells of it. */
export interface Segment {
  flow: Flow;
  flags: number;
  seq: number;
  ack_seq: number;
  /** Unscaled. */
  window: number;
  payload_len: number;
  timestamps: { tsval: number; tsecr: number } | null;
  /** TTL or hop limit. */
  ttl: number;
}

const TCP = 6;
const DONT_FRAGMENT = 0x4000;
/** NOP, NOP, and the timestamp option (RFC 7323) of 10 bytes. */
const TIMESTAMPS = [1, 1, 8, 10];
const IPV6_BYTES = 40;
const HOP_BY_HOP = 0;
/** The jumbo payload option (RFC 2675) in its extension header, up to the length. */
const JUMBO = [TCP, 0, 0xc2, 4];
/** The longest headers that are made: IPv6 with a jumbo payload, and TCP with timestamps. */
export const MAX_HEADER_BYTES = IPV6_BYTES + 8 + 20 + 12;

/**
 * The segment's IP and TCP headers; the payload is not recorded. `original_length` has it. The
 * checksum of TCP is the one of a payload of zeros: the right one wherever there is none.
 */
export function headersOf(segment: Segment): { bytes: Buffer; original_length: number } {
  const { flow, payload_len, ttl } = segment;
  const v4 = isIPv4(flow.saddr) && isIPv4(flow.daddr);
  const ends = Buffer.concat([addressBytes(flow.saddr, v4), addressBytes(flow.daddr, v4)]);
  const tcp = tcpHeader(segment, ends);
  const length = tcp.length + payload_len;
  const ip = v4 ? ipv4Header(length, ttl, ends) : ipv6Header(length, ttl, ends);
  return { bytes: Buffer.concat([ip, tcp]), original_length: ip.length + length };
}

function tcpHeader({ flow, timestamps, payload_len, ...segment }: Segment, ends: Buffer): Buffer {
  const tcp = Buffer.alloc(timestamps ? 32 : 20);
  tcp.writeUInt16BE(flow.sport, 0);
  tcp.writeUInt16BE(flow.dport, 2);
  tcp.writeUInt32BE(segment.seq, 4);
  tcp.writeUInt32BE(segment.ack_seq, 8);
  tcp.writeUInt8((tcp.length / 4) << 4, 12);
  tcp.writeUInt8(segment.flags & 0xff, 13);
  tcp.writeUInt16BE(segment.window & 0xffff, 14);
  if (timestamps) {
    tcp.set(TIMESTAMPS, 20);
    tcp.writeUInt32BE(timestamps.tsval, 24);
    tcp.writeUInt32BE(timestamps.tsecr, 28);
  }
  const pseudo = TCP + ((tcp.length + payload_len) & 0xffff) + ((tcp.length + payload_len) >>> 16);
  tcp.writeUInt16BE(checksum(pseudo, ends, tcp), 16);
  return tcp;
}

function ipv4Header(length: number, ttl: number, ends: Buffer): Buffer {
  const ip = Buffer.alloc(20);
  ip.writeUInt8(0x45, 0);
  // A segment that is yet to be cut (TSO, GRO) may be too long: Linux then leaves the length 0 too.
  ip.writeUInt16BE(ip.length + length > 0xffff ? 0 : ip.length + length, 2);
  ip.writeUInt16BE(DONT_FRAGMENT, 6);
  ip.writeUInt8(ttl & 0xff, 8);
  ip.writeUInt8(TCP, 9);
  ip.set(ends, 12);
  ip.writeUInt16BE(checksum(0, ip), 10);
  return ip;
}

function ipv6Header(length: number, ttl: number, ends: Buffer): Buffer {
  const jumbo = length > 0xffff;
  const ip = Buffer.alloc(IPV6_BYTES + (jumbo ? JUMBO.length + 4 : 0));
  ip.writeUInt8(0x60, 0);
  ip.writeUInt16BE(jumbo ? 0 : length, 4);
  ip.writeUInt8(jumbo ? HOP_BY_HOP : TCP, 6);
  ip.writeUInt8(ttl & 0xff, 7);
  ip.set(ends, 8);
  if (jumbo) {
    ip.set(JUMBO, IPV6_BYTES);
    ip.writeUInt32BE(length + ip.length - IPV6_BYTES, IPV6_BYTES + JUMBO.length);
  }
  return ip;
}

/** RFC 1071, of parts of even length. */
function checksum(start: number, ...parts: readonly Buffer[]): number {
  let sum = start;
  for (const part of parts) {
    for (let at = 0; at < part.length; at += 2)
      sum += ((part[at] as number) << 8) | (part[at + 1] as number);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const MAX_REMEMBERED = 4096;
const remembered = new Map<string, Uint8Array>();

/** The address as it stands in the header; among IPv6 ones IPv4 is mapped. Few make up nearly all packets. */
function addressBytes(text: string, v4: boolean): Uint8Array {
  const key = v4 ? text : `6 ${text}`;
  let bytes = remembered.get(key);
  if (!bytes) {
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    // A record that was damaged may lack it.
    bytes = (parseAddress(text) ?? new Uint8Array(16)).subarray(v4 ? IPV4_AT : 0);
    remembered.set(key, bytes);
  }
  return bytes;
}
