// SPDX-License-Identifier: Apache-2.0

import type protobuf from 'protobufjs/light.js';
import { plainText } from './text.ts';
import { addressOf } from './words.ts';

/** The bytes of one record were no event: cut off, another version's, or damaged. */
export class UndecodableError extends Error {
  override name = 'UndecodableError';
}

type Fields = { [field: string]: unknown };

/** 64 bits as protobufjs has them. */
interface Long {
  low: number;
  high: number;
  unsigned: boolean;
}

/**
 * What protobufjs decoded as plain data (types.gen.ts): what is missing reads as zero, a message that may be
 * absent and is all zeros as null. Throws UndecodableError where another message is missing.
 */
export function plain(type: protobuf.Type, message: Fields): Fields {
  const object = blank(type);
  for (const field of type.fieldsArray) {
    const value = message[field.name];
    if (field.partOf && value == null) continue;
    if (field.map) object[field.name] = mapOf(field, value as Fields);
    else if (field.repeated)
      object[field.name] = (value as unknown[]).map((item) => single(field, item));
    else object[field.name] = single(field, value);
  }
  return object;
}

const blanks = new Map<protobuf.Type, Fields>();

/** With room for what it will have: an object that grows field by field is three times as large. */
function blank(type: protobuf.Type): Fields {
  let fields = blanks.get(type);
  if (!fields) {
    const always = type.fieldsArray.every(({ partOf }) => !partOf) ? type.fieldsArray : [];
    // Only what is made of a text, or of a literal, has its fields within it.
    fields = JSON.parse(`{${always.map(({ name }) => `"${name}":0`)}}`) as Fields;
    blanks.set(type, fields);
  }
  return { ...fields };
}

function single(field: protobuf.Field, value: unknown): unknown {
  const { options, type } = field.resolve();
  const message = field.resolvedType as protobuf.Type | null;
  if (message) {
    const absent = options?.may_be_absent && isZero(message, value as Fields | null);
    if (absent) return null;
    if (value == null) throw new UndecodableError(`${field.name} is missing`);
    return plain(message, value as Fields);
  }
  switch (type) {
    case 'uint64':
      return number64(value as Long);
    case 'fixed64':
    case 'sint64':
      return text64(value as Long);
    case 'bytes':
      return bytesOf(options?.holds, value as Uint8Array);
    default:
      return options?.bits ? (value as number) & (2 ** (options.bits as number) - 1) : value;
  }
}

function mapOf(field: protobuf.Field, map: Fields): Fields {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, single(field, value)]));
}

function bytesOf(holds: unknown, bytes: ArrayLike<number>): unknown {
  // What is missing is an array of no numbers.
  const given = bytes instanceof Uint8Array ? bytes : Uint8Array.from(bytes);
  if (holds === 'address') return addressOf(given);
  return holds === 'pointers' ? pointers(given) : plainText(given);
}

function isZero(type: protobuf.Type, message: Fields | null): boolean {
  if (message == null) return true;
  return type.fieldsArray.every((field) => {
    const value = message[field.name];
    if (field.repeated || field.map) return Object.keys(value as object).length === 0;
    const { resolvedType } = field.resolve();
    if (resolvedType) return isZero(resolvedType as protobuf.Type, value as Fields | null);
    if (value == null || value === 0 || value === '') return true;
    if (field.type === 'bytes') return (value as Uint8Array).every((byte) => byte === 0);
    const { low, high } = value as Long;
    return low === 0 && high === 0;
  });
}

/** Exact below 2^53. */
function number64({ low, high }: Long): number {
  return (high >>> 0) * 2 ** 32 + (low >>> 0);
}

function text64({ low, high, unsigned }: Long): string {
  if (high === 0) return String(low >>> 0);
  const bits = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  return String(unsigned ? bits : BigInt.asIntN(64, bits));
}

/** Addresses in the kernel, decimal text, up to the first that is zero. */
function pointers(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const all: string[] = [];
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    const pointer = view.getBigUint64(at, true);
    if (pointer === 0n) break;
    all.push(String(pointer));
  }
  return all;
}
