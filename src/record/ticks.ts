// SPDX-License-Identifier: Apache-2.0

import { decodeEvent } from '../wire/decode.ts';
import { FrameReader } from '../wire/frames.ts';
import type { Damage, Piece } from './messages.ts';

/** What was recorded between two ticks. */
export interface Tick {
  messages: Uint8Array;
  /** When it was; null where there is no tick: at the end, and before damage. */
  ktime_ns: number | null;
  /** How much of its piece it ends, from 0 to 1. */
  part: number;
  damage: Damage | null;
}

/** A recording's stream in pieces that end with a tick. */
export async function* ticked(pieces: AsyncIterable<Piece>): AsyncGenerator<Tick> {
  for await (const { messages, damage } of pieces) {
    let from = 0;
    for (const { bytes } of new FrameReader().push(messages)) {
      const ktime_ns = tickOf(bytes);
      if (ktime_ns === null) continue;
      const end = bytes.byteOffset + bytes.length - messages.byteOffset;
      const part = end / messages.length;
      yield { messages: messages.subarray(from, end), ktime_ns, part, damage: null };
      from = end;
    }
    if (from < messages.length || damage)
      yield { messages: messages.subarray(from), ktime_ns: null, part: 1, damage };
  }
}

function tickOf(bytes: Uint8Array): number | null {
  try {
    const event = decodeEvent(bytes);
    return event?.kind === 'tick' && event.ktime_ns > 0 ? event.ktime_ns : null;
  } catch {
    return null;
  }
}
