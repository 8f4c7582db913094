// SPDX-License-Identifier: Apache-2.0

import protobuf from 'protobufjs/light.js';
import { learnEarlier, readEarlier } from './earlier.ts';
import type { Event } from './event.ts';
import { EVENT_KINDS, type EventKind } from './kinds.gen.ts';
import { EVENT, HEADER } from './messages.ts';
import { plain, plainParts, UndecodableError } from './plain.ts';
import type { Bodies, Header } from './types.gen.ts';
import { eventAt, readWritten, type Written } from './written.ts';

export { UndecodableError };

const KINDS = Object.keys(EVENT_KINDS) as EventKind[];
const KIND_NUMBERED = new Map<number, EventKind>(KINDS.map((kind) => [EVENT_KINDS[kind], kind]));

/**
 * One serialized Event, without its length prefix. Throws UndecodableError; null for an event of a
 * kind that this version does not know.
 */
export function decodeEvent(bytes: Uint8Array): Event | null {
  const known = readWritten(bytes) ?? readEarlier(bytes) ?? readBareTick(bytes);
  if (known) return known;
  refuseLarge(bytes, kindIn(bytes));
  const event = decodeAnyEvent(bytes);
  // A message may have several bodies, one of which counts.
  if (event) refuseLarge(bytes, event.kind);
  if (event) learnEarlier(bytes);
  return event;
}

/** Twice what the largest of a kernel has, and what rules take: thousands of events and facts are kept. */
const MOST_BYTES = 1 << 12;
const MOST_OF_FACT = 1 << 14;

/** Unlike what is told of the host and of the recording. */
export function happened(kind: EventKind): boolean {
  return kind !== 'tick' && kind !== 'totals' && kind !== 'fact' && kind !== 'footer';
}

/** What is larger is refused, whatever is in it. */
export function mayHaveHappened({ length }: Uint8Array): boolean {
  return length <= MOST_BYTES;
}

function refuseLarge(bytes: Uint8Array, kind: EventKind | null): void {
  if (mayHaveHappened(bytes) || kind === null) return;
  const { length } = bytes;
  if (happened(kind) || (kind === 'fact' && length > MOST_OF_FACT))
    throw new UndecodableError(`${kind} of ${length} bytes`);
}

/** The first that it says it is. */
function kindIn(bytes: Uint8Array): EventKind | null {
  if (mayHaveHappened(bytes)) return null;
  const reader = protobuf.Reader.create(bytes);
  try {
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      const kind = KIND_NUMBERED.get(tag >>> 3);
      if (kind) return kind;
      reader.skipType(tag & 7);
    }
  } catch {
    // The library says why, as of any other.
  }
  return null;
}

/** Whether a message may be of one of these kinds, as far as is seen without decoding it. */
export function mayBe(kinds: readonly EventKind[], bytes: Uint8Array): boolean {
  const reader = protobuf.Reader.create(bytes);
  try {
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (kinds.some((kind) => tag >>> 3 === EVENT_KINDS[kind])) return true;
      reader.skipType(tag & 7);
    }
  } catch {
    return true;
  }
  return false;
}

/** decodeEvent() of a record whose layout is known. */
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
  const message = decodedAs(EVENT, bytes);
  const kind = KINDS.find((name) => message[name] != null);
  if (kind === undefined) return null;
  parts ??= plainParts(EVENT);
  const of = (name: string) => parts?.get(name)?.(message[name]);
  return {
    ktime_ns: Number(of('ktime_ns')),
    cpu: of('cpu'),
    netns: of('netns'),
    key: of('key'),
    occurrences: Math.max(1, of('occurrences') as number),
    kind,
    body: of(kind),
  } as Event;
}

let parts: ReturnType<typeof plainParts> | null = null;

function decodedAs(type: protobuf.Type, bytes: Uint8Array): { [field: string]: unknown } {
  try {
    return type.decode(bytes) as unknown as { [field: string]: unknown };
  } catch (error) {
    throw new UndecodableError(error instanceof Error ? error.message : String(error));
  }
}

/** An event from protobuf's JSON form, as the fixtures of causes have it. */
export function eventFromJson(json: { [field: string]: unknown }): Event {
  const event = decodeEvent(EVENT.encode(EVENT.fromObject(json)).finish());
  if (!event) throw new UndecodableError('no event of a known kind');
  return event;
}

/** Serializes one event, from protobuf's JSON form, with its length prefix: as it stands in the stream. */
export function encodeEvent(json: { [field: string]: unknown }): Uint8Array {
  return EVENT.encodeDelimited(EVENT.fromObject(json)).finish();
}

/** The same as encodeEvent() makes of a tick that tells nothing but its time, without the library. */
export function encodeBareTick(ktime_ns: number): Uint8Array {
  const bytes = encodeFrame(BARE_TICK);
  const at = bytes.length - BARE_TICK.length + TIME_END - 8;
  new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(at, BigInt(ktime_ns), true);
  return bytes;
}

const BARE_TICK = EVENT.encode({ ktime_ns: 1, tick: {} }).finish();
/** Its first field is the time: a tag of one byte, and 64 bits. */
const TIME_END = 9;

/** A serialized message with its length prefix. */
export function encodeFrame(bytes: Uint8Array): Uint8Array {
  return protobuf.Writer.create().bytes(bytes).finish();
}

/** The first message of a recording. Throws UndecodableError. */
export function decodeHeader(bytes: Uint8Array): Header {
  return plain(HEADER, decodedAs(HEADER, bytes)) as unknown as Header;
}

export function encodeHeader(header: Header): Uint8Array {
  return HEADER.encodeDelimited(HEADER.fromObject(header)).finish();
}
