// SPDX-License-Identifier: Apache-2.0

import { isIPv4 } from 'node:net';
import { parseAddress, putIpv4 } from '../../tcp/address.ts';
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
 * Writes the segment's IP and TCP headers to `to`; the payload is not recorded. Returns the bytes of the
 * headers, and of the packet as it was. The checksum of TCP is the one of a payload of zeros: the right
 * one wherever there is none.
 */
export function writeHeaders(
  { flow, payload_len, ttl, ...segment }: Segment,
  to: Buffer,
  at: number,
): { length: number; original_length: number } {
  const v4 = isIPv4(flow.saddr) && isIPv4(flow.daddr);
  const tcp_bytes = segment.timestamps ? 32 : 20;
  const content = tcp_bytes + payload_len;
  const jumbo = !v4 && content > 0xffff;
  const ip_bytes = v4 ? 20 : IPV6_BYTES + (jumbo ? JUMBO.length + 4 : 0);
  const ends = at + (v4 ? 12 : 8);
  to.fill(0, at, at + ip_bytes + tcp_bytes);
  const address_bytes = v4 ? 4 : 16;
  putAddress(flow.saddr, v4, to, ends);
  putAddress(flow.daddr, v4, to, ends + address_bytes);
  const from = at + ip_bytes;
  writeTcp(segment, flow, to, from);
  let pseudo = TCP + (content & 0xffff) + (content >>> 16);
  pseudo += sumOf(to, ends, 2 * address_bytes) + sumOf(to, from, tcp_bytes);
  put16(to, from + 16, checksum(pseudo));
  if (v4) writeIpv4(content, ttl, to, at);
  else writeIpv6(content, ttl, jumbo, to, at);
  return { length: ip_bytes + tcp_bytes, original_length: ip_bytes + content };
}

function writeTcp(
  { timestamps, ...segment }: Omit<Segment, 'flow' | 'payload_len' | 'ttl'>,
  flow: Flow,
  to: Buffer,
  at: number,
): void {
  put16(to, at, flow.sport);
  put16(to, at + 2, flow.dport);
  put32(to, at + 4, segment.seq);
  put32(to, at + 8, segment.ack_seq);
  to[at + 12] = (timestamps ? 8 : 5) << 4;
  to[at + 13] = segment.flags;
  put16(to, at + 14, segment.window);
  if (!timestamps) return;
  to.set(TIMESTAMPS, at + 20);
  put32(to, at + 24, timestamps.tsval);
  put32(to, at + 28, timestamps.tsecr);
}

function writeIpv4(content: number, ttl: number, to: Buffer, at: number): void {
  const length = 20 + content;
  to[at] = 0x45;
  // A segment that is yet to be cut (TSO, GRO) may be too long: Linux then leaves the length 0 too.
  put16(to, at + 2, length > 0xffff ? 0 : length);
  put16(to, at + 6, DONT_FRAGMENT);
  to[at + 8] = ttl;
  to[at + 9] = TCP;
  put16(to, at + 10, checksum(sumOf(to, at, 20)));
}

function writeIpv6(content: number, ttl: number, jumbo: boolean, to: Buffer, at: number): void {
  to[at] = 0x60;
  put16(to, at + 4, jumbo ? 0 : content);
  to[at + 6] = jumbo ? HOP_BY_HOP : TCP;
  to[at + 7] = ttl;
  if (!jumbo) return;
  to.set(JUMBO, at + IPV6_BYTES);
  put32(to, at + IPV6_BYTES + JUMBO.length, content + JUMBO.length + 4);
}

function put16(to: Buffer, at: number, value: number): void {
  to[at] = value >>> 8;
  to[at + 1] = value;
}

function put32(to: Buffer, at: number, value: number): void {
  put16(to, at, value >>> 16);
  put16(to, at + 2, value);
}

/** Of 16-bit words; `length` is even. */
function sumOf(bytes: Buffer, at: number, length: number): number {
  let sum = 0;
  for (let i = at; i < at + length; i += 2)
    sum += ((bytes[i] as number) << 8) | (bytes[i + 1] as number);
  return sum;
}

/** RFC 1071. */
function checksum(total: number): number {
  let sum = total;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** As it stands in the header; among IPv6 ones IPv4 is mapped. */
function putAddress(text: string, v4: boolean, to: Buffer, at: number): void {
  if (v4) putIpv4(text, to, at);
  else to.set(ipv6Bytes(text), at);
}

const MAX_REMEMBERED = 4096;
const remembered = new Map<string, Uint8Array>();

/** Few make up nearly all packets. */
function ipv6Bytes(text: string): Uint8Array {
  let bytes = remembered.get(text);
  if (!bytes) {
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    // A record that was damaged may lack it.
    bytes = parseAddress(text) ?? new Uint8Array(16);
    remembered.set(text, bytes);
  }
  return bytes;
}
