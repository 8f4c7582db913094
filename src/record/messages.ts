// SPDX-License-Identifier: Apache-2.0

import { decodeEvent } from '../wire/decode.ts';
import { FrameError, readLength } from '../wire/frames.ts';
import { CHECK_BEGINS, CHECK_BYTES, Checksum, isCheck } from './check.ts';

/** A place of a recording that could not be read, or is not as it was written. */
export interface Damage {
  /** Offset of its first byte; in a compressed recording that of what was compressed, unless `what` says otherwise. */
  at: number;
  bytes: number;
  what: string;
}

/** What comes next of a recording. */
export interface Piece {
  /** Whole messages with their lengths. */
  messages: Uint8Array;
  /** What comes after them. */
  damage: Damage | null;
}

export const CUT_OFF = 'cut off within a message';
export const NO_FOOTER = 'ends without a footer: it was cut off, or is still being written';
const NO_MESSAGE = 'not as it was written: no messages of tcpwhy';
export const GIVEN_UP = 'no messages of tcpwhy, for so long that the rest was not read';
const WRONG_SUM = 'not as it was written: it has another checksum';

/** Without a check for so long, messages are handed on unchecked: older recordings have none. */
const HELD_BYTES = 2 << 20;
const NOTHING = new Uint8Array(0);

/**
 * Cuts a stream, in pieces of any size, into messages that their checks vouch for. Of a damaged part
 * it hands on what still decodes, up to the first message that does not; the next check is where it
 * goes on.
 */
export class MessageReader {
  /** Not handed on yet: of #room, up to the end of what is in it. */
  #rest: Buffer = Buffer.alloc(0);
  #room: Buffer = this.#rest;
  /** Offset of #rest in the stream. */
  #at = 0;
  /** In #rest: the next message to look at, and up to where checks agree. */
  #next = 0;
  #checked = 0;
  /** Offset in the stream of what the next check is about, and the sum of what of it was handed on. */
  #since_at = 0;
  readonly #sum = new Checksum();
  /** Where the next check is looked for: since which offset nothing could be read. */
  #lost_at: number | null = null;
  #last: Uint8Array = NOTHING;

  *push(chunk: Uint8Array): Generator<Piece> {
    this.#append(chunk);
    yield* this.#advance();
    const ready = this.#next - this.#checked > HELD_BYTES ? this.#next : this.#checked;
    if (ready > 0) yield { messages: this.#take(ready), damage: null };
  }

  /** What was handed on stays as it is. Room is left for as much again: much that is held is seldom copied. */
  #append(chunk: Uint8Array): void {
    const end = this.#rest.byteOffset - this.#room.byteOffset + this.#rest.length;
    if (end + chunk.length > this.#room.length) {
      const room = Buffer.allocUnsafeSlow(2 * this.#rest.length + chunk.length);
      this.#rest.copy(room);
      room.set(chunk, this.#rest.length);
      this.#rest = room.subarray(0, this.#rest.length + chunk.length);
      this.#room = room;
      return;
    }
    this.#room.set(chunk, end);
    this.#rest = this.#room.subarray(end - this.#rest.length, end + chunk.length);
  }

  /** Bytes are missing here. */
  *gap(damage: Damage): Generator<Piece> {
    for (const piece of this.end()) {
      if (piece.messages.length > 0) yield { messages: piece.messages, damage: null };
    }
    this.#take(this.#rest.length);
    this.#next = 0;
    this.#checked = 0;
    this.#lost_at = null;
    this.#begin();
    yield { messages: NOTHING, damage };
  }

  /** So far nothing could be read of so many bytes. */
  get lost_bytes(): number {
    return this.#lost_at === null ? 0 : this.#at + this.#rest.length - this.#lost_at;
  }

  /** No more bytes; of what could not be read, `lost` is said. */
  *end(lost = NO_MESSAGE): Generator<Piece> {
    yield* this.#advance();
    // A message that goes on beyond a check has a wrong length.
    while (this.#lost_at === null && findCheck(this.#rest, this.#next) >= 0) {
      yield* this.#damaged();
      yield* this.#advance();
    }
    if (this.#lost_at !== null) {
      const bytes = this.#at + this.#rest.length - this.#lost_at;
      yield { messages: NOTHING, damage: { at: this.#lost_at, bytes, what: lost } };
      return;
    }
    const sound = this.#sound();
    const whole = sound === this.#next;
    const messages = this.#take(sound);
    const bytes = this.#rest.length;
    const what = !whole ? NO_MESSAGE : bytes > 0 ? CUT_OFF : NO_FOOTER;
    const complete = what === NO_FOOTER && isFooter(this.#last);
    yield { messages, damage: complete ? null : { at: this.#at, bytes, what } };
  }

  *#advance(): Generator<Piece> {
    for (;;) {
      if (this.#lost_at !== null) {
        const damage = this.#resume();
        if (!damage) return;
        yield { messages: NOTHING, damage };
      }
      if (this.#walk()) return;
      yield* this.#damaged();
    }
  }

  /** Goes over the messages that are whole by now; false where one cannot be, or a check disagrees. */
  #walk(): boolean {
    for (;;) {
      if (isCheck(this.#rest, this.#next)) {
        this.#sum.add(this.#rest.subarray(this.#checked, this.#next));
        if (!this.#sum.agrees(this.#rest, this.#next)) return false;
        this.#next += CHECK_BYTES;
        this.#checked = this.#next;
        this.#begin(this.#next);
        continue;
      }
      const end = messageEnd(this.#rest, this.#next);
      if (end === 'damaged') return false;
      if (end === 'more') return true;
      this.#last = this.#rest.subarray(this.#next, end);
      this.#next = end;
    }
  }

  /** Hands on what can be read of what the next check is about. */
  *#damaged(): Generator<Piece> {
    const sound = this.#sound();
    if (sound === this.#next && isCheck(this.#rest, this.#next)) {
      const bytes = this.#at + this.#next - this.#since_at;
      const damage = { at: this.#since_at, bytes, what: WRONG_SUM };
      yield { messages: this.#take(sound), damage };
      this.#take(CHECK_BYTES);
      this.#begin();
    } else {
      if (sound > 0) yield { messages: this.#take(sound), damage: null };
      this.#lost_at = this.#at;
    }
    this.#next = 0;
    this.#checked = 0;
  }

  /** After the next check, where there is one. What is wrong may lie before what was found to be. */
  #resume(): Damage | null {
    const check = findCheck(this.#rest, 0);
    if (check < 0) {
      // The rest may be the beginning of one.
      this.#take(Math.max(0, this.#rest.length - CHECK_BYTES + 1));
      this.#next = 0;
      return null;
    }
    const at = this.#since_at;
    this.#take(check + CHECK_BYTES);
    this.#next = 0;
    this.#lost_at = null;
    this.#begin();
    return { at, bytes: this.#at - at, what: NO_MESSAGE };
  }

  /** In #rest: the first message that was not checked and does not decode, or has a check in it. */
  #sound(): number {
    const check = findCheck(this.#rest, this.#checked);
    let from = this.#checked;
    while (from < this.#next) {
      const end = messageEnd(this.#rest, from);
      if (typeof end !== 'number' || (check >= 0 && end > check)) return from;
      const header = this.#at + from === 0;
      if (!header && !decodes(this.#rest.subarray(from, end))) return from;
      from = end;
    }
    return from;
  }

  #begin(at = 0): void {
    this.#sum.reset();
    this.#since_at = this.#at + at;
  }

  /** The next so many bytes, which are no longer kept. */
  #take(bytes: number): Uint8Array {
    const taken = this.#rest.subarray(0, bytes);
    if (bytes > this.#checked) this.#sum.add(taken.subarray(this.#checked));
    this.#rest = this.#rest.subarray(bytes);
    this.#at += bytes;
    this.#next = Math.max(0, this.#next - bytes);
    this.#checked = Math.max(0, this.#checked - bytes);
    return taken;
  }
}

/** -1 where there is none. */
function findCheck(stream: Buffer, from: number): number {
  let check = stream.indexOf(CHECK_BEGINS, from);
  while (check >= 0 && !isCheck(stream, check)) check = stream.indexOf(CHECK_BEGINS, check + 1);
  return check;
}

function messageEnd(stream: Uint8Array, from: number): number | 'more' | 'damaged' {
  try {
    const prefix = readLength(stream, from, from);
    // No message of ours is empty, but a file that was never written is zeros.
    if (prefix?.length === 0) return 'damaged';
    return !prefix || prefix.end + prefix.length > stream.length
      ? 'more'
      : prefix.end + prefix.length;
  } catch (error) {
    if (error instanceof FrameError) return 'damaged';
    throw error;
  }
}

function decode(message: Uint8Array) {
  try {
    const prefix = readLength(message, 0, 0);
    return prefix && decodeEvent(message.subarray(prefix.end));
  } catch {
    return null;
  }
}

function decodes(message: Uint8Array): boolean {
  return decode(message) !== null;
}

function isFooter(message: Uint8Array): boolean {
  return decode(message)?.kind === 'footer';
}
