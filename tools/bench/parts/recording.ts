// SPDX-License-Identifier: Apache-2.0

import { closeSync, openSync, writeSync } from 'node:fs';
import { Checksum } from '../../../src/record/check.ts';
import { RecordedStream } from '../../../src/record/read.ts';
import { decodeEvent, encodeFrame, encodeHeader } from '../../../src/wire/decode.ts';
import { FrameReader } from '../../../src/wire/frames.ts';

/** What one check is about, as in a recording of a busy host. */
const BATCH_BYTES = 1 << 20;
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
      const event = decodeEvent(bytes);
      if (!event) throw new Error(`${from}: an event of an unknown kind`);
      const { ktime_ns, kind, body } = event;
      // What is written has its own.
      if (kind === 'tick' && body.check) continue;
      const time_ns = BigInt(ktime_ns);
      const copy = Buffer.from(bytes);
      messages.push({
        bytes: copy,
        ktime_ns: time_ns,
        ktime_at: copy.indexOf(fixed64(time_ns)),
        kind: kind === 'fact' || kind === 'footer' ? kind : 'event',
      });
    }
  }
  const times = messages.map(({ ktime_ns }) => ktime_ns).filter((time) => time > 0n);
  const span_ns = max(times) - min(times) + GAP_NS;
  const fd = openSync(to, 'w', 0o600);
  const sum = new Checksum();
  let written = 0;
  let count = 0;
  const write = (bytes: Uint8Array) => {
    written += writeSync(fd, bytes);
    sum.add(bytes);
    if (sum.bytes >= BATCH_BYTES) written += writeSync(fd, sum.take());
  };
  const parts = (['fact', 'event', 'footer'] as const).map(
    (kind) => new Moving(messages.filter((message) => message.kind === kind)),
  );
  const [facts, events, footers] = parts as [Moving, Moving, Moving];
  const add = (some: Moving, shift_ns: bigint) => {
    write(some.by(shift_ns));
    count += some.count;
  };
  let shift_ns = 0n;
  write(encodeHeader(recording.header));
  add(facts, shift_ns);
  for (; written < size_bytes; shift_ns += span_ns) add(events, shift_ns);
  add(footers, shift_ns);
  writeSync(fd, sum.take());
  closeSync(fd);
  return count;
}

/** Messages as they stand in a stream, each so much later. */
class Moving {
  readonly count: number;
  readonly #stream: Buffer;
  readonly #times: { at: number; ktime_ns: bigint }[] = [];

  constructor(messages: Message[]) {
    this.count = messages.length;
    const frames = messages.map(({ bytes }) => Buffer.from(encodeFrame(bytes)));
    this.#stream = Buffer.concat(frames);
    let end = 0;
    for (const [index, { bytes, ktime_ns, ktime_at }] of messages.entries()) {
      end += frames[index]?.length ?? 0;
      if (ktime_ns > 0n) this.#times.push({ at: end - bytes.length + ktime_at, ktime_ns });
    }
  }

  by(shift_ns: bigint): Buffer {
    for (const { at, ktime_ns } of this.#times)
      this.#stream.writeBigUInt64LE(ktime_ns + shift_ns, at);
    return this.#stream;
  }
}

function fixed64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

const max = (all: bigint[]) => all.reduce((a, b) => (a > b ? a : b), 0n);
const min = (all: bigint[]) => all.reduce((a, b) => (a < b ? a : b), max(all));
