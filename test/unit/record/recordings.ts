// SPDX-License-Identifier: Apache-2.0

import { Checksum } from '../../../src/record/check.ts';
import { type Damage, MessageReader, type Piece } from '../../../src/record/messages.ts';
import { encodeEvent, encodeHeader } from '../../../src/wire/decode.ts';
import { headerWith } from '../causes/fixture.ts';
import { packetEvent, tick } from '../diagnose/events.ts';

export const FOOTER = encodeEvent({ ktime_ns: 9e9, footer: { end: 'time' } });

/** A recording of so many seconds: in each a few drops, a tick, and what a check is about ends. */
export function recorded(seconds: number, perSecond = 3): { stream: Buffer; batches: Buffer[] } {
  const sum = new Checksum();
  const header = encodeHeader(headerWith());
  const batches = Array.from({ length: seconds }, (_, second) => {
    const drops = Array.from({ length: perSecond }, (_, i) =>
      encodeEvent(packetEvent('drop', { ms: 1000 * second + i, reason: 1, seq: i })),
    );
    const first = second === 0 ? [header] : [];
    const last = second === seconds - 1 ? [FOOTER] : [];
    return Buffer.concat([...first, ...drops, encodeEvent(tick(1000 * second + 999)), ...last]);
  });
  const stream = Buffer.concat(
    batches.map((batch) => {
      sum.add(batch);
      return Buffer.concat([batch, sum.take()]);
    }),
  );
  return { stream, batches };
}

/** All that is read of a stream, in pieces of a size. */
export function readAll(
  stream: Uint8Array,
  size = Number.POSITIVE_INFINITY,
): { messages: Buffer; damages: Damage[] } {
  const reader = new MessageReader();
  const pieces: Piece[] = [];
  for (let at = 0; at < stream.length; at += size)
    pieces.push(...reader.push(stream.subarray(at, at + size)));
  pieces.push(...reader.end());
  return {
    messages: Buffer.concat(pieces.map(({ messages }) => messages)),
    damages: pieces.flatMap(({ damage }) => damage ?? []),
  };
}
