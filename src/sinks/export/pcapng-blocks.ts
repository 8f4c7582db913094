// SPDX-License-Identifier: Apache-2.0
//
// The blocks of a pcapng file (draft-ietf-opsawg-pcapng) that an export has.

const BLOCK = { section: 0x0a0d0d0a, interface: 1, packet: 6 } as const;
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
const NANOSECONDS = Buffer.from([9]);
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
  /** As much of it as is there. */
  bytes: Buffer;
  original_length: number;
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

export function interfaceBlock({ name, description, snaplen }: Interface): Buffer {
  const fixed = Buffer.alloc(8);
  fixed.writeUInt16LE(LINKTYPE_RAW, 0);
  fixed.writeUInt32LE(snaplen, 4);
  return block(BLOCK.interface, [
    fixed,
    ...options([
      [OPTION.if_name, text(name)],
      [OPTION.if_description, text(description)],
      [OPTION.if_tsresol, NANOSECONDS],
    ]),
  ]);
}

export function packetBlock(packet: CapturedPacket): Buffer {
  const { interface_id, time_ns, bytes, original_length, inbound, comment } = packet;
  const fixed = Buffer.alloc(20);
  fixed.writeUInt32LE(interface_id, 0);
  fixed.writeUInt32LE(Number(time_ns >> 32n), 4);
  fixed.writeUInt32LE(Number(time_ns & 0xffffffffn), 8);
  fixed.writeUInt32LE(bytes.length, 12);
  fixed.writeUInt32LE(original_length, 16);
  return block(BLOCK.packet, [
    fixed,
    padded(bytes),
    ...options([
      [OPTION.packet_flags, inbound ? INBOUND : OUTBOUND],
      [OPTION.comment, text(comment)],
    ]),
  ]);
}

const INBOUND = Buffer.from([1, 0, 0, 0]);
const OUTBOUND = Buffer.from([2, 0, 0, 0]);

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
