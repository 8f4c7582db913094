// SPDX-License-Identifier: Apache-2.0

import { setTimeout as pause } from 'node:timers/promises';
import type { Piece } from '../record/messages.ts';
import { decodeEvent, encodeFrame } from '../wire/decode.ts';
import { FrameReader } from '../wire/frames.ts';

/** Pauses in a recording are at most this long when it is shown. */
const LONGEST_PAUSE_MS = 2000;

/** A recording's stream at the speed at which it was made: one piece a tick. Ends early on `signal`. */
export async function* paced(
  pieces: AsyncIterable<Piece>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const frames = new FrameReader();
  let piece: Uint8Array[] = [];
  let last_ktime_ns: number | null = null;
  for await (const { messages } of pieces) {
    for (const { bytes } of frames.push(messages)) {
      piece.push(encodeFrame(bytes));
      const tick_ns = tickOf(bytes);
      if (tick_ns === null) continue;
      const wait_ms = last_ktime_ns === null ? 0 : (tick_ns - last_ktime_ns) / 1e6;
      last_ktime_ns = tick_ns;
      if (signal.aborted) return;
      await pause(Math.min(Math.max(wait_ms, 0), LONGEST_PAUSE_MS), undefined, { signal }).catch(
        () => undefined,
      );
      if (signal.aborted) return;
      yield Buffer.concat(piece);
      piece = [];
    }
  }
  yield Buffer.concat(piece);
}

function tickOf(bytes: Uint8Array): number | null {
  try {
    const event = decodeEvent(bytes);
    return event?.kind === 'tick' && event.body.check === null ? event.ktime_ns : null;
  } catch {
    return null;
  }
}
