// SPDX-License-Identifier: Apache-2.0

import { Writer } from 'protobufjs/minimal.js';
import { addressText } from '../tcp/address.ts';
import { learnEarlier, readEarlier } from './earlier.ts';
import { tcpwhy } from './event.gen.js';
import type { Event } from './event.ts';
import { EVENT_KINDS, type EventKind } from './kinds.gen.ts';
import { plainText } from './text.ts';
import { type Bodies, BYTES_HOLD, type Header, MAY_BE_ABSENT, NUMBERS } from './types.gen.ts';
import { eventAt, readWritten, type Written } from './written.ts';

/** The bytes of one record were no event: cut off, another version's, or damaged. */
export class UndecodableError extends Error {
  override name = 'UndecodableError';
}

const KINDS = Object.keys(EVENT_KINDS) as EventKind[];
const OPTIONS = { longs: String, defaults: true, arrays: true, objects: true } as const;

/**
 * One serialized Event, without its length prefix. Throws UndecodableError; null for an event of a
 * kind that this version does not know.
 */
export function decodeEvent(bytes: Uint8Array): Event | null {
  const known = readWritten(bytes) ?? readEarlier(bytes) ?? readBareTick(bytes);
  if (known) return known;
  const event = decodeAnyEvent(bytes);
  if (event) learnEarlier(bytes);
  return event;
}

/** The same of a record whose layout is known. */
export function eventOf(record: Written): Event | null {
  const { w, at, layout } = record;
  return record.sound ? eventAt(w, at, layout) : decodeEvent(record.bytes);
}

/** Of a tick that tells nothing but its time: what the recording of a quiet host is full of. */
function readBareTick(bytes: Uint8Array): Event | null {
  if (bytes.length !== BARE_TICK.length || bytes[0] !== BARE_TICK[0]) return null;
  for (let at = TIME_END; at < bytes.length; at++) if (bytes[at] !== BARE_TICK[at]) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const ktime_ns = view.getUint32(TIME_END - 4, true) * 2 ** 32 + view.getUint32(1, true);
  const body: Bodies['tick'] = { lost: [], check: null, before: null };
  return { ktime_ns, cpu: 0, netns: 0, key: '0', occurrences: 1, kind: 'tick', body };
}

/** The same for what any version wrote, ours included: 50 times slower. */
export function decodeAnyEvent(bytes: Uint8Array): Event | null {
  let message: tcpwhy.v1.Event;
  try {
    message = tcpwhy.v1.Event.decode(bytes);
  } catch (error) {
    throw new UndecodableError(error instanceof Error ? error.message : String(error));
  }
  const kind = KINDS.find((name) => message[name] != null);
  return kind === undefined ? null : eventFrom(kind, tcpwhy.v1.Event.toObject(message, OPTIONS));
}

/** An event from protobuf's JSON form, as the fixtures of causes have it. */
export function eventFromJson(json: { [field: string]: unknown }): Event {
  const event = decodeEvent(tcpwhy.v1.Event.encode(tcpwhy.v1.Event.fromObject(json)).finish());
  if (!event) throw new UndecodableError('no event of a known kind');
  return event;
}

/** Serializes one event, from protobuf's JSON form, with its length prefix: as it stands in the stream. */
export function encodeEvent(json: { [field: string]: unknown }): Uint8Array {
  return tcpwhy.v1.Event.encodeDelimited(tcpwhy.v1.Event.fromObject(json)).finish();
}

const BARE_TICK = tcpwhy.v1.Event.encode({ ktime_ns: 1, tick: {} }).finish();
/** Its first field is the time: a tag of one byte, and 64 bits. */
const TIME_END = 9;

/** A serialized message with its length prefix. */
export function encodeFrame(bytes: Uint8Array): Uint8Array {
  return Writer.create().bytes(bytes).finish();
}

/** The first message of a recording. Throws UndecodableError. */
export function decodeHeader(bytes: Uint8Array): Header {
  try {
    return plain('', tcpwhy.v1.Header.toObject(tcpwhy.v1.Header.decode(bytes), OPTIONS)) as Header;
  } catch (error) {
    throw new UndecodableError(error instanceof Error ? error.message : String(error));
  }
}

export function encodeHeader(header: Header): Uint8Array {
  return tcpwhy.v1.Header.encodeDelimited(tcpwhy.v1.Header.fromObject(header)).finish();
}

type Plain = { [field: string]: unknown };

function eventFrom(kind: EventKind, object: Plain): Event {
  const body = object[kind] as Plain;
  for (const [field, value] of Object.entries(body)) {
    const absent = kind === 'fact' ? value === null : isAbsent(`${kind}.${field}`, value);
    body[field] = absent ? null : plain(field, value);
  }
  return {
    ktime_ns: Number(object.ktime_ns),
    cpu: object.cpu,
    netns: object.netns,
    key: object.key,
    occurrences: Math.max(1, object.occurrences as number),
    kind,
    body,
  } as unknown as Event;
}

function plain(field: string, value: unknown): unknown {
  if (value === null) throw new UndecodableError(`${field} is missing`);
  if (value instanceof Uint8Array) {
    const holds = BYTES_HOLD[field];
    if (holds === 'address') return addressText(value);
    return holds === 'pointers' ? pointers(value) : plainText(value);
  }
  if (Array.isArray(value)) return value.map((item) => plain(field, item));
  if (value && typeof value === 'object') {
    const message = value as Plain;
    // The values of a map are what its field is.
    const isMap = NUMBERS.has(field);
    for (const name of Object.keys(message))
      message[name] = isAbsent(`${field}.${name}`, message[name])
        ? null
        : plain(isMap ? field : name, message[name]);
    return message;
  }
  return NUMBERS.has(field) ? Number(value) : value;
}

function isAbsent(field: string, value: unknown): boolean {
  return MAY_BE_ABSENT.has(field) && isZero(value);
}

function isZero(value: unknown): boolean {
  if (value == null || value === 0 || value === '0' || value === '') return true;
  if (value instanceof Uint8Array) return value.every((byte) => byte === 0);
  return typeof value === 'object' && Object.values(value).every(isZero);
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
