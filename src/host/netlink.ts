// SPDX-License-Identifier: Apache-2.0

/** Messages of netlink: fields of this machine's byte order, which is little-endian where tcpwhy runs. */

const HEADER = 16;
const ATTRIBUTE = 4;
const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
const NLM_F_DUMP = 0x300;
/** What is in the attribute is attributes, or of the network's byte order. */
const FLAGS = 0xc000;

export interface Message {
  type: number;
  /** What follows the header. */
  body: Buffer;
}

/** A request for everything there is of a kind; `all` false: for one, which the body names. */
export function request(type: number, body: Uint8Array, all = true): Buffer {
  const message = Buffer.alloc(HEADER + body.length);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(type, 4);
  message.writeUInt16LE(NLM_F_REQUEST | (all ? NLM_F_DUMP : NLM_F_ACK), 6);
  message.set(body, HEADER);
  return message;
}

export function attribute(type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc(aligned(ATTRIBUTE + value.length));
  bytes.writeUInt16LE(ATTRIBUTE + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, ATTRIBUTE);
  return bytes;
}

export function messages(bytes: Buffer): Message[] {
  const found: Message[] = [];
  for (let at = 0; at + HEADER <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    if (length < HEADER) break;
    found.push({
      type: bytes.readUInt16LE(at + 4),
      body: bytes.subarray(at + HEADER, at + length),
    });
    at += aligned(length);
  }
  return found;
}

export type Attributes = ReadonlyMap<number, Buffer>;

/** Attributes by their number; of several with one number the last. */
export function attributes(bytes: Buffer | undefined, from = 0): Attributes {
  return new Map(listed(bytes, from));
}

/** Attributes in their order. */
export function listed(bytes: Buffer | undefined, from = 0): [type: number, value: Buffer][] {
  const found: [number, Buffer][] = [];
  if (!bytes) return found;
  for (let at = from; at + ATTRIBUTE <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < ATTRIBUTE) break;
    const type = bytes.readUInt16LE(at + 2) & ~FLAGS;
    found.push([type, bytes.subarray(at + ATTRIBUTE, at + length)]);
    at += aligned(length);
  }
  return found;
}

export function text(value: Buffer | undefined): string {
  return value ? value.toString('utf8').replace(/\0.*$/s, '') : '';
}

/** 0 where it is not there. */
export function number(value: Buffer | undefined, at = 0): number {
  return value && value.length >= at + 4 ? value.readUInt32LE(at) : 0;
}

const aligned = (length: number) => (length + 3) & ~3;
