// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { decodeAnyEvent, encodeEvent } from '../../../src/wire/decode.ts';
import type { Event } from '../../../src/wire/event.ts';
import type { Words } from '../../../src/wire/words.ts';
import { BRIEF, WRITTEN } from '../../../src/wire/written.gen.ts';
import {
  beginsWithRecord,
  eventAt,
  type Layout,
  Records,
  readWritten,
} from '../../../src/wire/written.ts';
import { random } from '../diagnose/random.ts';

const LAYOUTS: Layout[] = [...Object.values(WRITTEN), ...Object.values(BRIEF)];

/** A record of BPF: its tags, and in every other word what `value` says. */
function record({ words, tags }: Layout, value: (at: number) => number): Uint8Array {
  const w: Words = Int32Array.from({ length: words }, (_, at) => value(at));
  for (let i = 0; i < tags.length; i += 2) w[tags[i] as number] = tags[i + 1] as number;
  return new Uint8Array(w.buffer);
}

describe.each(LAYOUTS.map((layout) => [layout.kind, layout.words, layout] as const))(
  '%s of %i words',
  (_kind, _words, layout) => {
    test('is what any protobuf library reads', () => {
      const next = random(7);
      for (const value of [
        () => 0,
        (at: number) => at,
        () => next() * 2 ** 32,
        () => (next() < 0.5 ? 0 : next() * 2 ** 32),
      ]) {
        const bytes = record(layout, value);
        expect(readWritten(bytes)).toEqual(decodeAnyEvent(bytes));
      }
    });

    test('is another’s with a word more or less, or another tag', () => {
      const bytes = record(layout, () => 7);
      expect(readWritten(bytes.subarray(4))).toBeNull();
      expect(readWritten(bytes.subarray(0, -4))).toBeNull();
      for (let i = 0; i < layout.tags.length; i += 2) {
        const damaged = Buffer.from(bytes);
        const at = 4 * (layout.tags[i] as number);
        damaged.writeUInt8(damaged.readUInt8(at) ^ 8, at);
        expect(readWritten(damaged)).toBeNull();
      }
    });
  },
);

test('reads a stream up to what is another’s', () => {
  const [first, second] = [LAYOUTS.at(0), LAYOUTS.at(-1)].map((layout) => {
    if (!layout) throw new Error('no layouts');
    const bytes = record(layout, () => 1);
    const size = bytes.length;
    const prefix = [size & 0x7f, (size >> 7) & 0x7f, (size >> 14) & 0x7f, 0].map((group, at) =>
      at < 3 ? group | 0x80 : group,
    );
    return Buffer.concat([Buffer.from(prefix), bytes]);
  });
  if (!first || !second) throw new Error('no layouts');
  const stream = Buffer.concat([first, second, Buffer.from([3, 1, 2, 3]), first]);
  const records = new Records(stream);
  const events: Event[] = [];
  while (records.next()) events.push(eventAt(records.w, records.at, records.layout));
  expect(records.bytes).toBe(first.length + second.length);
  expect(events.map(({ kind }) => kind)).toEqual([LAYOUTS.at(0)?.kind, LAYOUTS.at(-1)?.kind]);
  for (const cut of [
    first.subarray(0, -4),
    first.subarray(0, 40),
    first.subarray(1),
    Buffer.alloc(0),
  ]) {
    const none = new Records(cut);
    expect(none.next()).toBe(false);
    expect(none.bytes).toBe(0);
  }
});

test('a record is told by its length from what tcpwhy adds itself', () => {
  for (const layout of LAYOUTS) {
    const bytes = record(layout, () => 0);
    const prefix = Int32Array.of(layout.length);
    const stream = Buffer.concat([new Uint8Array(prefix.buffer), bytes]);
    expect(beginsWithRecord(stream), layout.kind).toBe(true);
    expect(beginsWithRecord(Buffer.concat([Buffer.alloc(1), stream]).subarray(1))).toBe(true);
  }
  const many = Array.from({ length: 300 }, (_, key) => ({ key: String(key), count: 2 ** 40 }));
  for (const event of [{ tick: {} }, { totals: { keys: many } }, { fact: { cgroup: { id: 1 } } }])
    expect(beginsWithRecord(encodeEvent({ ktime_ns: 1, ...event }))).toBe(false);
  expect(beginsWithRecord(Buffer.alloc(0))).toBe(false);
  expect(beginsWithRecord(Buffer.of(0x80, 0x80, 0x80))).toBe(false);
});
