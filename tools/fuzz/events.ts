// SPDX-License-Identifier: Apache-2.0
//
// Recordings that are valid protobuf and nothing else: events of real ones with some of their fields
// changed, and events of which every field is at random.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import type protobuf from 'protobufjs/light.js';
import { CAUSES } from '../../src/causes/registry.gen.ts';
import { encodeFrame } from '../../src/wire/decode.ts';
import { FrameReader } from '../../src/wire/frames.ts';
import { EVENT, HEADER } from '../../src/wire/messages.ts';
import { fixtureNames, readFixture } from '../../test/unit/causes/fixture.ts';

type Next = () => number;
type Fields = { [field: string]: unknown };

const MOST_EVENTS = 60;
const EDGES = [0, 1, 2, 7, 10, 22, 80, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff];
const EDGES_64 = ['0', '1', '1000000000', '4102444800000000000', '9007199254740993'];
/** Keys that count many subjects together. */
const SHARED_KEYS = [String(2 ** 40 + 7), String(2 ** 41 + 7)];
const MOST_64 = '18446744073709551615';
const ADDRESSES = ['00', '00000000000000000000ffff0a000001', '00000000000000000000ffff7f000001'];
const TEXTS = [
  '',
  'nginx',
  '\u001b[31m',
  'a\u202eb',
  '<b>"&\'',
  '`$(id)`',
  '|=cmd',
  '\ud800',
  '😀'.repeat(9),
];

/** Events of the recordings of a folder, and of what causes fire on: captures and texts tell of others. */
export function seedsOf(folder: string): { header: Fields; events: Fields[] } {
  const streams = readdirSync(folder)
    .filter((name) => name.endsWith('.zst'))
    .map((name) => zstdDecompressSync(readFileSync(join(folder, name))));
  const messages = streams.map((stream) =>
    [...new FrameReader().push(stream)].map(({ bytes }) => Buffer.from(bytes)),
  );
  const header = HEADER.decode(messages[0]?.[0] as Buffer) as unknown as Fields;
  const events = messages.flatMap((all) => all.slice(1).map((bytes) => EVENT.decode(bytes)));
  const fired = CAUSES.flatMap(({ id }) =>
    fixtureNames(id, 'fires').flatMap((name) => readFixture(id, name).events),
  ).map((event) => EVENT.fromObject(event));
  const all = [...events, ...fired] as unknown as Fields[];
  return { header, events: all.filter(({ tick }) => !tick) };
}

/** A recording of `next`'s choice. */
export function recordingOf({ header, events }: ReturnType<typeof seedsOf>, next: Next): Buffer {
  const head = next() < 0.7 ? header : changed(HEADER, copyOf(HEADER, header), next);
  const parts = [HEADER.encodeDelimited(head).finish()];
  const count = Math.floor(next() * MOST_EVENTS);
  const from = Math.floor(next() * events.length);
  for (let i = 0; i < count; i++) {
    const real = next() < 0.8;
    const seed = events[(from + i) % events.length] as Fields;
    const event = real ? copyOf(EVENT, seed) : anyMessage(EVENT, next, 0);
    const made = real && next() < 0.4 ? event : changed(EVENT, event, next);
    // A wrong check hides what it is about.
    if (made.tick) (made.tick as Fields).check = undefined;
    parts.push(encodeFrame(EVENT.encode(made).finish()));
  }
  return Buffer.concat(parts);
}

function copyOf(type: protobuf.Type, message: Fields): Fields {
  return type.decode(type.encode(message).finish()) as unknown as Fields;
}

/** With some fields at random, here or in a message within. */
function changed(type: protobuf.Type, message: Fields, next: Next): Fields {
  const times = 1 + Math.floor(next() * 4);
  for (let i = 0; i < times; i++) {
    const present = type.fieldsArray.filter(({ name, partOf }) => !partOf || message[name] != null);
    const field = present[Math.floor(next() * present.length)];
    if (!field) continue;
    const { resolvedType } = field.resolve();
    const inner = message[field.name];
    if (resolvedType && 'fieldsArray' in resolvedType && inner && !field.repeated && next() < 0.9)
      message[field.name] = changed(resolvedType, inner as Fields, next);
    else message[field.name] = anyField(field, next, 0);
  }
  return message;
}

function anyMessage(type: protobuf.Type, next: Next, depth: number): Fields {
  const message: Fields = {};
  const oneofs = new Set(type.oneofsArray);
  for (const field of type.fieldsArray) {
    if (field.partOf && oneofs.has(field.partOf)) continue;
    if (next() < 0.9) message[field.name] = anyField(field, next, depth);
  }
  for (const { fieldsArray } of oneofs) {
    const field = fieldsArray[Math.floor(next() * fieldsArray.length)];
    if (field) message[field.name] = anyField(field, next, depth);
  }
  return message;
}

function anyField(field: protobuf.Field, next: Next, depth: number): unknown {
  if (field.map) {
    const keys = Array.from({ length: Math.floor(next() * 3) }, () => text(next));
    return Object.fromEntries(keys.map((key) => [key, anyValue(field, next, depth)]));
  }
  if (!field.repeated) return anyValue(field, next, depth);
  return Array.from({ length: Math.floor(next() * 4) }, () => anyValue(field, next, depth));
}

function anyValue(field: protobuf.Field, next: Next, depth: number): unknown {
  const { resolvedType, type, options } = field.resolve();
  if (resolvedType && 'fieldsArray' in resolvedType)
    return depth > 5 ? {} : anyMessage(resolvedType, next, depth + 1);
  switch (type) {
    case 'bytes':
      return bytes(options?.holds, next);
    case 'string':
      return text(next);
    case 'fixed64':
    case 'uint64':
      return long(next);
    case 'sint64':
      return next() < 0.2 ? `-${pick(EDGES_64, next)}` : pick(EDGES_64, next);
    default:
      return next() < 0.8 ? pick(EDGES, next) : Math.floor(next() * 2 ** 32);
  }
}

function long(next: Next): string {
  if (next() < 0.1) return MOST_64;
  if (next() < 0.1) return pick(SHARED_KEYS, next);
  return next() < 0.6 ? pick(EDGES_64, next) : String(Math.floor(next() * 2 ** 53));
}

function bytes(holds: string | undefined, next: Next): Buffer {
  if (holds === 'text') return Buffer.from(text(next)).subarray(0, 16);
  if (next() < 0.2) return Buffer.from(Array.from({ length: 16 }, () => Math.floor(next() * 256)));
  if (next() < 0.1) return Buffer.alloc(Math.floor(next() * 70));
  return Buffer.from(pick(ADDRESSES, next).padStart(32, '0'), 'hex');
}

const text = (next: Next) => pick(TEXTS, next);

function pick<Value>(values: readonly Value[], next: Next): Value {
  return values[Math.floor(next() * values.length)] as Value;
}
