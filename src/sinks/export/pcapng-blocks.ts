// SPDX-License-Identifier: Apache-2.0
//
// The blocks of a pcapng file (draft-ietf-opsawg-pcapng) that an export has.

import { MAX_HEADER_BYTES, type Segment, writeHeaders } from './headers.ts';

const BLOCK = { section: 0x0a0d0d0a, interface: 1, packet: 6 } as const;
const BLOCK_HEAD_BYTES = 8;
const BYTE_ORDER = 0x1a2b3c4d;
const LINKTYPE_RAW = 101;
const OPTION = {
  comment: 1,
  hardware: 2,
  os: 3,
  application: 4,
  if_name: 2,
  if_description: 3,
  if_tsresol: 9,
  packet_flags: 2,
} as const;
/** Times are in units of 10^-9 s. */
const NANOSECONDS = 9;
const MAX_OPTION_BYTES = 0xffff;

export interface Section {
  hardware: string;
  os: string;
  application: string;
  comment: string;
}

/** Where a packet was seen: IP packets without a link layer, from their first byte. */
export interface Interface {
  name: string;
  description: string;
  snaplen: number;
}

export interface CapturedPacket {
  interface_id: number;
  time_ns: bigint;
  segment: Segment;
  inbound: boolean;
  comment: string;
}

export function sectionBlock({ hardware, os, application, comment }: Section): Buffer {
  const fixed = Buffer.alloc(16, 0xff);
  fixed.writeUInt32LE(BYTE_ORDER, 0);
  fixed.writeUInt16LE(1, 4);
  fixed.writeUInt16LE(0, 6);
  return block(BLOCK.section, [
    fixed,
    ...options([
      [OPTION.hardware, text(hardware)],
      [OPTION.os, text(os)],
      [OPTION.application, text(application)],
      [OPTION.comment, text(comment)],
    ]),
  ]);
}

const MAX_TEXT_BYTES = 4 + MAX_OPTION_BYTES + 1;

/** With texts of the greatest length. */
export const MAX_INTERFACE_BLOCK_BYTES = BLOCK_HEAD_BYTES + 8 + 2 * MAX_TEXT_BYTES + 8 + 4 + 4;
export const MAX_PACKET_BLOCK_BYTES =
  BLOCK_HEAD_BYTES + 20 + MAX_HEADER_BYTES + 8 + MAX_TEXT_BYTES + 4 + 4;

/** Writes an interface to `to`, which has room. Returns where it ends. */
export function writeInterfaceBlock(
  { name, description, snaplen }: Interface,
  to: Buffer,
  at: number,
): number {
  const fixed = at + BLOCK_HEAD_BYTES;
  put32(to, fixed, LINKTYPE_RAW);
  put32(to, fixed + 4, snaplen);
  let end = putText(to, fixed + 8, OPTION.if_name, name);
  end = putText(to, end, OPTION.if_description, description);
  putOptionHead(to, end, OPTION.if_tsresol, 1);
  put32(to, end + 4, NANOSECONDS);
  return putEnd(to, at, end + 8, BLOCK.interface);
}

/** Writes a packet, as much of it as is there, to `to`, which has room. Returns where it ends. */
export function writePacketBlock(packet: CapturedPacket, to: Buffer, at: number): number {
  const { interface_id, time_ns, segment, inbound, comment } = packet;
  const fixed = at + BLOCK_HEAD_BYTES;
  const { length, original_length } = writeHeaders(segment, to, fixed + 20);
  put32(to, fixed, interface_id);
  put32(to, fixed + 4, Number(time_ns >> 32n));
  put32(to, fixed + 8, Number(time_ns & 0xffffffffn));
  put32(to, fixed + 12, length);
  put32(to, fixed + 16, original_length);
  const end = padTo(to, fixed, fixed + 20 + length);
  putOptionHead(to, end, OPTION.packet_flags, 4);
  put32(to, end + 4, inbound ? INBOUND : OUTBOUND);
  return putEnd(to, at, putText(to, end + 8, OPTION.comment, comment), BLOCK.packet);
}

const INBOUND = 1;
const OUTBOUND = 2;

function put32(to: Buffer, at: number, value: number): void {
  to[at] = value;
  to[at + 1] = value >>> 8;
  to[at + 2] = value >>> 16;
  to[at + 3] = value >>> 24;
}

function putOptionHead(to: Buffer, at: number, code: number, length: number): void {
  put32(to, at, code | (length << 16));
}

/** What is too long is never cut within a character. Returns where it ends. */
function putText(to: Buffer, at: number, code: number, text: string): number {
  if (text === '') return at;
  const bytes = to.write(text, at + 4, MAX_OPTION_BYTES);
  putOptionHead(to, at, code, bytes);
  return padTo(to, at, at + 4 + bytes);
}

/** The end of a block's options, and its head, which were left out. Returns where the block ends. */
function putEnd(to: Buffer, at: number, options_end: number, type: number): number {
  const end = options_end + 8;
  putOptionHead(to, options_end, 0, 0);
  put32(to, at, type);
  put32(to, at + 4, end - at);
  put32(to, end - 4, end - at);
  return end;
}

/** Zeros up to a multiple of four bytes since `from`. Returns where they end. */
function padTo(to: Buffer, from: number, end: number): number {
  const padded = end + (-(end - from) & 3);
  for (let i = end; i < padded; i++) to[i] = 0;
  return padded;
}

function block(type: number, parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 12);
  const head = Buffer.alloc(8);
  head.writeUInt32LE(type, 0);
  head.writeUInt32LE(length, 4);
  return Buffer.concat([head, ...parts, head.subarray(4)], length);
}

function options(list: readonly [code: number, value: Buffer][]): Buffer[] {
  const filled = list.filter(([, value]) => value.length > 0);
  const parts = filled.flatMap(([code, value]) => [optionHead(code, value.length), padded(value)]);
  return [...parts, optionHead(0, 0)];
}

function optionHead(code: number, length: number): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16LE(code, 0);
  head.writeUInt16LE(length, 2);
  return head;
}

/** An option's length has 16 bits; a longer text is cut, never within a character. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  if (bytes.length <= MAX_OPTION_BYTES) return bytes;
  let end = MAX_OPTION_BYTES;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

function padded(bytes: Buffer): Buffer {
  const missing = -bytes.length & 3;
  return missing === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(missing)]);
}
