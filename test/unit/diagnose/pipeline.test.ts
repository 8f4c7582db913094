// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { CAUSES as REAL_CAUSES } from '../../../src/causes/registry.gen.ts';
import { Pipeline } from '../../../src/diagnose/pipeline.ts';
import { encodeEvent, encodeFrame } from '../../../src/wire/decode.ts';
import { FrameReader } from '../../../src/wire/frames.ts';
import { EVENT_KINDS } from '../../../src/wire/kinds.gen.ts';
import type { Header } from '../../../src/wire/types.gen.ts';
import { fixtureNames, headerWith, type Json, readFixture, streamOf } from '../causes/fixture.ts';
import { answerEvent, CAUSES, HEADER, packetEvent, REASON, tick, totals } from './events.ts';
import { interleaved, random } from './random.ts';

function run(events: Json[], cut = Number.POSITIVE_INFINITY): Pipeline {
  const pipeline = new Pipeline(headerWith(HEADER), CAUSES);
  const stream = streamOf(events);
  for (let at = 0; at < stream.length; at += cut) pipeline.push(stream.subarray(at, at + cut));
  pipeline.finish();
  return pipeline;
}

function counts({ engine }: Pipeline): Record<string, number> {
  const found = [...engine.findings.values()].map(({ finding }) => finding);
  return Object.fromEntries(found.map(({ cause, count }) => [cause, count]));
}

const strong = (ms: number, more = {}) => answerEvent({ ms, reason: REASON.strong, ...more });

describe('order', () => {
  test('is that of time, not of arrival', () => {
    const seen: number[] = [];
    const pipeline = new Pipeline(headerWith(HEADER), CAUSES, ({ ktime_ns }, seq) => {
      seen.push(ktime_ns);
      expect(seq).toBe(seen.length);
    });
    pipeline.push(streamOf([strong(3), strong(1), strong(2), tick(2)]));
    expect(seen).toEqual([1e6, 2e6]);
    pipeline.push(streamOf([strong(4), tick(5)]));
    expect(seen).toEqual([1e6, 2e6, 3e6, 4e6]);
  });

  /** Whatever order the buffers of four CPUs are drained in, the same findings come of it. */
  test.each(Array.from({ length: 50 }, (_, seed) => seed))('of CPUs is no matter (%i)', (seed) => {
    const next = random(seed);
    const all = Array.from({ length: 40 }, (_, i) =>
      packetEvent(i % 3 === 0 ? 'drop' : 'reset_sent', {
        ms: i * 7,
        cpu: Math.floor(next() * 4),
        reason: 1 + Math.floor(next() * 4),
        sport: 40_000 + Math.floor(next() * 3),
        seq: Math.floor(i / 3),
      }),
    );
    const cpus = [0, 1, 2, 3].map((cpu) => all.filter((event) => (event.cpu ?? 0) === cpu));
    const expected = findingsOf(run([...all, tick(1000)]));
    expect(findingsOf(run([...interleaved(cpus, next), tick(1000)]))).toEqual(expected);
  });

  function findingsOf(pipeline: Pipeline) {
    return [...pipeline.engine.findings.values()].map(({ finding }) => finding);
  }
});

describe('what is larger than any kernel makes it', () => {
  const body = (json: Json) =>
    [...new FrameReader().push(encodeEvent(json))].map(({ bytes }) => bytes);
  const said = { ktime_ns: '2000000', kernel_said: { line: 'x'.repeat(5000) } };
  const symbol = { address: '7', name: 'x'.repeat(20_000) };

  test.each([
    ['an event', body(said)],
    ['a name', body({ ktime_ns: '2000000', fact: { symbol } })],
    ['an event that begins as a tick', [Buffer.concat([...body(tick(2)), ...body(said)])]],
  ])('is lost by name: %s', (_, [bytes = new Uint8Array(0)]) => {
    const pipeline = new Pipeline(headerWith(HEADER), CAUSES);
    pipeline.push(streamOf([strong(1)]));
    pipeline.push(encodeFrame(bytes));
    pipeline.push(streamOf([strong(3), tick(4)]));
    pipeline.finish();
    expect(pipeline.losses.rows()).toMatchObject([{ name: 'records_undecodable', count: 1 }]);
    expect(counts(pipeline)).toEqual({ strong: 2 });
  });
});

describe('totals', () => {
  const kinds = [
    { kind: EVENT_KINDS.drop, reason: 1, count: 30 },
    { kind: EVENT_KINDS.drop, reason: 2, count: 4 },
    { kind: EVENT_KINDS.reset_sent, reason: 1, count: 5 },
  ];

  test('fill up what was not recorded', () => {
    const made = [strong(1, { key: '7' }), tick(2), totals(3, { 7: 10 }), tick(3)];
    expect(counts(run(made))).toEqual({ strong: 10 });
  });

  test('that come once, before the first record of their key, go where that goes', () => {
    const made = [totals(1, { 7: 10 }), tick(1), strong(2, { key: '7' }), tick(3)];
    expect(counts(run(made))).toEqual({ strong: 10 });
  });

  test('of a key whose first record still waits for its tick at the end go with it', () => {
    const made = [strong(5, { key: '7' }), totals(3, { 7: 10 }), tick(3)];
    expect(counts(run(made))).toEqual({ strong: 10 });
  });

  /** The last totals of a run come with the last records, before the tick that releases them. */
  test('fill up records that came with them', () => {
    const made = [strong(1, { key: '7' }), totals(2, { 7: 10 }), tick(2)];
    expect(counts(run(made))).toEqual({ strong: 10 });
  });

  test('are given out with the tick, not at the end', () => {
    const pipeline = new Pipeline(headerWith(HEADER), CAUSES);
    pipeline.push(streamOf([strong(1, { key: '7' }), totals(2, { 7: 10 }), tick(2)]));
    expect(counts(pipeline)).toEqual({ strong: 10 });
    pipeline.push(streamOf([totals(3, { 7: 12 }), tick(3)]));
    expect(pipeline.engine.takeChanged().map(({ count }) => count)).toEqual([12]);
  });

  test('are sums by kind, of which the newest counts', () => {
    const { counted } = run([totals(1, {}, kinds), totals(2, {}, kinds), tick(2)]);
    expect(counted).toEqual({ drop: 34, reset_sent: 5 });
  });
});

describe('losses', () => {
  test('are added up by name', () => {
    const lost = [{ name: 'records_lost', count: 2 }];
    const { losses } = run([tick(1, lost), tick(2, lost)]);
    expect(losses.records).toBe(4);
    expect(losses.rows().map(({ name, count }) => [name, count])).toEqual([['records_lost', 4]]);
  });

  test('are records of a kind not known, and damaged ones', () => {
    const pipeline = new Pipeline(headerWith(HEADER), CAUSES);
    // Field 500, empty; then a field that is longer than its message.
    pipeline.push(Buffer.from([3, 0xa2, 0x1f, 0, 2, 0x82, 0x50]));
    pipeline.push(encodeEvent(strong(1)));
    pipeline.finish();
    expect(pipeline.losses.records).toBe(2);
    expect(counts(pipeline)).toEqual({ strong: 1 });
  });
});

/** What a disk or a careless copy does to a recording: one bit of one record of each kind. */
describe('a flipped bit', () => {
  const one = new Map(
    REAL_CAUSES.flatMap(({ id }) => fixtureNames(id, 'fires').map((name) => readFixture(id, name)))
      .flatMap(({ events }) => events)
      .map((event) => [Object.keys(event).at(-1) ?? '', event]),
  );

  test.each([...one])('in a record of kind %s does not end the run', (_, event) => {
    const [frame] = new FrameReader().push(encodeEvent(event));
    const bytes = Buffer.from(frame?.bytes ?? []);
    const pipeline = new Pipeline(headerWith(HEADER), REAL_CAUSES);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = Buffer.from(bytes);
      damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      pipeline.push(encodeFrame(damaged));
      pipeline.push(encodeEvent(tick(1e9)));
    }
    expect(() => pipeline.finish()).not.toThrow();
    expect(pipeline.losses.records).toBeGreaterThan(0);
  });
});

describe('the same bytes', () => {
  const everything = REAL_CAUSES.flatMap(({ id }) =>
    [...fixtureNames(id, 'fires'), ...fixtureNames(id, 'quiet')].map((name) =>
      readFixture(id, name),
    ),
  );
  const header = mergedHeader(everything.map((fixture) => fixture.header));
  const stream = Buffer.concat([
    ...everything.map(({ events }) => streamOf(events)),
    encodeEvent(tick(60_000)),
  ]);

  test('give the same JSON', () => {
    expect(json(stream.length)).toBe(json(stream.length));
  });

  test.each([1, 2, 3, 7, 64, 1000, 4096])('give the same JSON in pieces of %i bytes', (size) => {
    expect(json(size)).toBe(json(stream.length));
  });

  /** All that comes of it, with what a screen shows beside it, and the order in which it came. */
  function json(size: number): string {
    const events: unknown[] = [];
    const changes: unknown[] = [];
    const pipeline = new Pipeline(header, REAL_CAUSES, (event, seq) => events.push([seq, event]));
    for (let at = 0; at < stream.length; at += size) pipeline.push(stream.subarray(at, at + size));
    pipeline.finish();
    changes.push(pipeline.engine.takeChanged());
    const open = [...pipeline.engine.findings.values()].map(({ finding, flows, events: lines }) => [
      finding,
      [...flows.values()],
      lines,
    ]);
    expect(open.length).toBeGreaterThan(20);
    return JSON.stringify([events, changes, open, pipeline.losses.rows(), pipeline.events]);
  }

  function mergedHeader(headers: Header[]): Header {
    const enums = new Map<string, Record<string, string>>();
    for (const table of headers.flatMap((one) => one.enums))
      enums.set(table.name, { ...enums.get(table.name), ...table.names });
    return headerWith({ enums: [...enums].map(([name, names]) => ({ name, names })) });
  }
});

describe('a clock that is set', () => {
  const HOUR_NS = 3600e9;
  const set = (ms: number, offset_ns: number): Json => ({
    ktime_ns: String(ms * 1e6),
    fact: { clock: { offset_ns: String(offset_ns), was_ns: '0' } },
  });
  const events = [
    strong(1, { key: '7' }),
    tick(2),
    // Told after what happened since: as a tick tells it.
    strong(4, { key: '7' }),
    set(3, -HOUR_NS),
    tick(3),
    strong(2.5, { key: '7' }),
    tick(9),
  ];

  test.each([Number.POSITIVE_INFINITY, 1])('times what comes after it (pieces of %s)', (cut) => {
    const pipeline = run(events, cut);
    const [open] = pipeline.engine.findings.values();
    expect(open?.finding).toMatchObject({ count: 3, first_ns: 4e6 - HOUR_NS, last_ns: 2.5e6 });
    expect(pipeline.now_ns).toBe(9e6 - HOUR_NS);
    expect(pipeline.lasted_ns).toBe(9e6);
  });

  test('is told to who listens', () => {
    const times: number[] = [];
    const listen = (_: unknown, _seq: number, time_ns: number) => times.push(time_ns);
    const pipeline = new Pipeline(headerWith(HEADER), CAUSES, listen);
    pipeline.push(streamOf(events));
    expect(times).toEqual([1e6, 2.5e6, 4e6 - HOUR_NS]);
  });
});
