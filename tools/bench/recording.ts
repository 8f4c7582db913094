// SPDX-License-Identifier: Apache-2.0

import { closeSync, openSync, writeSync } from 'node:fs';
import { RecordedStream } from '../../src/record/read.ts';
import { encodeHeader } from '../../src/wire/decode.ts';
import { tcpwhy } from '../../src/wire/event.gen.js';
import { FrameReader } from '../../src/wire/frames.ts';

const GAP_NS = 100_000_000n;

interface Message {
  bytes: Buffer;
  ktime_ns: bigint;
  /** Where its time stands in it. */
  ktime_at: number;
  /** What is written once: what the host is like, and the end. */
  kind: 'fact' | 'event' | 'footer';
}

/**
 * Writes a recording of at least so many bytes: that of `from`, again and again, each time later.
 * Returns how many messages it has.
 */
export async function enlarge(from: string, to: string, size_bytes: number): Promise<number> {
  const recording = await RecordedStream.open(from);
  const messages: Message[] = [];
  const frames = new FrameReader();
  for await (const piece of recording.pieces()) {
    for (const { bytes } of frames.push(piece.messages)) {
      const { ktime_ns, fact, footer, tick } = tcpwhy.v1.Event.decode(bytes);
      // The sum of a check would be wrong.
      if (tick?.check) continue;
      const time_ns = BigInt(String(ktime_ns));
      const copy = Buffer.from(bytes);
      messages.push({
        bytes: copy,
        ktime_ns: time_ns,
        ktime_at: copy.indexOf(fixed64(time_ns)),
        kind: fact ? 'fact' : footer ? 'footer' : 'event',
      });
    }
  }
  const times = messages.map(({ ktime_ns }) => ktime_ns).filter((time) => time > 0n);
  const span_ns = max(times) - min(times) + GAP_NS;
  const fd = openSync(to, 'w', 0o600);
  let written = writeSync(fd, encodeHeader(recording.header));
  let count = 0;
  const write = (some: Message[], shift_ns: bigint) => {
    written += writeSync(fd, Buffer.concat(some.flatMap((message) => moved(message, shift_ns))));
    count += some.length;
  };
  const [facts, events, footers] = (['fact', 'event', 'footer'] as const).map((kind) =>
    messages.filter((message) => message.kind === kind),
  ) as [Message[], Message[], Message[]];
  let shift_ns = 0n;
  write(facts, shift_ns);
  for (; written < size_bytes; shift_ns += span_ns) write(events, shift_ns);
  write(footers, shift_ns);
  closeSync(fd);
  return count;
}

function moved({ bytes, ktime_ns, ktime_at }: Message, shift_ns: bigint): Buffer[] {
  if (ktime_ns > 0n) bytes.writeBigUInt64LE(ktime_ns + shift_ns, ktime_at);
  return [lengthPrefix(bytes.length), Buffer.from(bytes)];
}

function fixed64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

function lengthPrefix(length: number): Buffer {
  const bytes: number[] = [];
  for (let rest = length; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest]);
    bytes.push((rest & 0x7f) | 0x80);
  }
}

const max = (all: bigint[]) => all.reduce((a, b) => (a > b ? a : b), 0n);
const min = (all: bigint[]) => all.reduce((a, b) => (a < b ? a : b), max(all));
