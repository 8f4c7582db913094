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
  const { blank, parts } = planOf(type);
  const object = { ...blank };
  for (const { name, optional, made } of parts) {
    const value = message[name];
    if (!optional || value != null) object[name] = made(value);
  }
  return object;
}

/** What one field of a type is made of, by its name. */
export function plainParts(type: protobuf.Type): ReadonlyMap<string, Made> {
  return new Map(planOf(type).parts.map(({ name, made }) => [name, made]));
}

/** What is asked of a type and its fields for each message: found out once. */
interface Plan {
  /** With room for what it will have: an object that grows field by field is three times as large. */
  blank: Fields;
  parts: Part[];
}

interface Part {
  name: string;
  /** One of several that a message may have. */
  optional: boolean;
  made: Made;
  isZero: (value: unknown) => boolean;
}

type Made = (value: unknown) => unknown;

const plans = new Map<protobuf.Type, Plan>();

function planOf(type: protobuf.Type): Plan {
  let plan = plans.get(type);
  if (!plan) {
    const fields = type.fieldsArray;
    const always = fields.every(({ partOf }) => !partOf) ? fields : [];
    // Only what is made of a text, or of a literal, has its fields within it.
    const blank = JSON.parse(`{${always.map(({ name }) => `"${name}":0`)}}`) as Fields;
    plan = { blank, parts: fields.map(partOf) };
    plans.set(type, plan);
  }
  return plan;
}

function partOf(field: protobuf.Field): Part {
  const one = singleOf(field);
  const { name, map, repeated, partOf } = field;
  const made = map
    ? (value: unknown) => mapOf(one, value as Fields)
    : repeated
      ? (value: unknown) => (value as unknown[]).map((item) => one(item))
      : one;
  return { name, optional: Boolean(partOf), made, isZero: zeroOf(field) };
}

function singleOf(field: protobuf.Field): Made {
  const { name, options, type } = field.resolve();
  const message = field.resolvedType as protobuf.Type | null;
  if (message) {
    const may_be_absent = Boolean(options?.may_be_absent);
    return (value) => {
      if (may_be_absent && isZero(message, value as Fields | null)) return null;
      if (value == null) throw new UndecodableError(`${name} is missing`);
      return plain(message, value as Fields);
    };
  }
  switch (type) {
    case 'uint64':
      return (value) => number64(value as Long);
    case 'fixed64':
    case 'sint64':
      return (value) => text64(value as Long);
    case 'bytes':
      return (value) => bytesOf(options?.holds, value as Uint8Array);
  }
  const mask = options?.bits ? 2 ** (options.bits as number) - 1 : null;
  return mask === null ? (value) => value : (value) => (value as number) & mask;
}

function mapOf(one: Made, map: Fields): Fields {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, one(value)]));
}

function bytesOf(holds: unknown, bytes: ArrayLike<number>): unknown {
  // What is missing is an array of no numbers.
  const given = bytes instanceof Uint8Array ? bytes : Uint8Array.from(bytes);
  if (holds === 'address') return addressOf(given);
  return holds === 'pointers' ? pointers(given) : plainText(given);
}

function isZero(type: protobuf.Type, message: Fields | null): boolean {
  return message == null || planOf(type).parts.every(({ name, isZero }) => isZero(message[name]));
}

function zeroOf(field: protobuf.Field): Part['isZero'] {
  if (field.repeated || field.map) return (value) => Object.keys(value as object).length === 0;
  const message = field.resolve().resolvedType as protobuf.Type | null;
  if (message) return (value) => isZero(message, value as Fields | null);
  const isNothing = (value: unknown) => value == null || value === 0 || value === '';
  if (field.type === 'bytes')
    return (value) => isNothing(value) || (value as Uint8Array).every((byte) => byte === 0);
  return (value) => {
    if (isNothing(value)) return true;
    const { low, high } = value as Long;
    return low === 0 && high === 0;
  };
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
