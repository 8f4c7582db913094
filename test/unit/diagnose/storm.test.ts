// SPDX-License-Identifier: Apache-2.0

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CAUSES } from '../../../src/causes/registry.gen.ts';
import { Engine } from '../../../src/diagnose/engine.ts';
import { Pipeline } from '../../../src/diagnose/pipeline.ts';
import { headerWith } from '../causes/fixture.ts';
import { HEADER } from './events.ts';
import { random } from './random.ts';
import { aborted, answered, dropped, listens, refused, tickAt } from './records.ts';

const MS = 1e6;
const CLIENT = 0x0a000001;
const SERVER = 0x0a000002;
const OTHER_HOST = 0x0a000003;
const PROXY = 77;
const K = { answer: 11, away: 16, apart: 17, refusal: 12, remote: 13, drop: 14, abort: 15 };
/** Of the drop reasons of HEADER. */
const REASON = 1;

interface Timed {
  ktime_ns: number;
  bytes: Uint8Array;
}

/**
 * Connections that are refused, each from a port of its own, and what else may happen to them. Of those
 * that nothing else happens to one in ten is to be explained, and the first ones.
 */
function storm(
  count: number,
  next: () => number,
  odd: number,
  port = 80,
  service = 0,
): Uint8Array[] {
  const records: Timed[] = [];
  const add = (ms: number, make: (common: { ktime_ns: number; netns: number }) => Uint8Array) => {
    const ktime_ns = Math.round(ms * MS);
    records.push({ ktime_ns, bytes: make({ ktime_ns, netns: 1 }) });
  };
  for (let i = 0; i < count; i++) {
    const ms = 1 + i * 1.5;
    const here = { saddr: CLIENT, sport: 20_000 + i, daddr: SERVER, dport: port, service };
    const strange = next() < odd;
    const kind = Math.floor(next() * 6);
    // That the same service refuses here and elsewhere is told of each connection by its own records only.
    const apart = strange && kind === 3;
    const dport = apart ? port + 2 : port + 1;
    const away = { saddr: CLIENT, sport: 20_000 + i, daddr: OTHER_HOST, dport, service };
    const late = strange && kind === 0 ? 1 : 0;
    const share = () => ({ occurrences: Number(strange || i < 4 || next() < 0.1) });
    if (i % 2 === 0) {
      add(ms + 2 * late, (common) => answered({ ...common, ...share(), key: K.answer }, here));
      add(ms + 1, (common) => refused({ ...common, ...share(), key: K.refusal }, here, PROXY));
    } else {
      const key = apart ? K.apart : K.remote;
      add(ms, (common) => refused({ ...common, ...share(), key }, away, PROXY));
    }
    if (!strange) continue;
    if (kind === 1) add(ms + 0.1, (common) => dropped({ ...common, key: K.drop }, here, REASON));
    if (kind === 2 && i % 2 === 0)
      add(ms + 40, (common) => refused({ ...common, key: K.refusal }, here, PROXY));
    if (kind === 3) add(ms + 900, (common) => answered({ ...common, key: K.away }, away));
    if (kind === 4) {
      const client = { saddr: CLIENT, sport: 15_006, daddr: OTHER_HOST, dport: 50_000 + i };
      add(ms + 1.2, (common) => aborted({ ...common, key: K.abort }, client, PROXY));
    }
    if (kind === 5) {
      const twice = { ...here, sport: 19_000 };
      add(ms, (common) => answered({ ...common, key: K.answer, occurrences: 3 }, twice));
    }
  }
  records.sort((a, b) => a.ktime_ns - b.ktime_ns);
  const chunks = [
    Buffer.concat([listens({ ktime_ns: 1, netns: 1, key: 0 }, CLIENT, 15_006, PROXY), tickAt(2)]),
  ];
  let chunk: Uint8Array[] = [];
  let tick_ns = 25 * MS;
  for (const { ktime_ns, bytes } of [...records, { ktime_ns: 1e12, bytes: new Uint8Array(0) }]) {
    for (; ktime_ns > tick_ns && chunk.length > 0; tick_ns += 25 * MS) {
      chunks.push(Buffer.concat([...chunk, tickAt(tick_ns)]));
      chunk = [];
    }
    chunk.push(bytes);
  }
  return chunks;
}

function run(chunks: readonly Uint8Array[], everyEvent: boolean, reused = false): Pipeline {
  const pipeline = new Pipeline(headerWith(HEADER), CAUSES, everyEvent ? () => {} : null);
  const buffer = new Uint8Array(1 << 20);
  for (const chunk of chunks) {
    if (reused) {
      buffer.fill(0xff);
      buffer.set(chunk);
    }
    pipeline.push(reused ? buffer.subarray(0, chunk.length) : chunk);
  }
  pipeline.finish();
  return pipeline;
}

/** How much of what there was: what a finding says is that of its newest occurrence that was explained. */
function all({ engine, events, losses }: Pipeline) {
  const findings = [...engine.findings.values()].map(({ finding }) => finding);
  const counts = findings.filter(({ count }) => count !== 0).map(({ id, count }) => [id, count]);
  return {
    counts: Object.fromEntries(counts.sort()),
    unexplained: engine.unexplained,
    benign: engine.benign,
    events,
    losses: losses.rows(),
  };
}

let counted = 0;
beforeEach(() => {
  counted = 0;
  const { count } = Engine.prototype;
  vi.spyOn(Engine.prototype, 'count').mockImplementation(function (this: Engine, key) {
    const told = count.call(this, key);
    if (told) counted++;
    return told;
  });
});
afterEach(() => vi.restoreAllMocks());

describe('a storm is counted as if every record had been explained', () => {
  test.each(
    Array.from({ length: 30 }, (_, seed) => [seed, [0, 0.02, 0.3][seed % 3] as number] as const),
  )('seed %i, of which so many are odd: %d', (seed, odd) => {
    const chunks = storm(700, random(seed), odd);
    const expected = all(run(chunks, true));
    expect(counted).toBe(0);
    expect(Object.keys(expected.counts).join()).toMatch(/connect-refused.*no-listener/);
    expect(all(run(chunks, false))).toEqual(expected);
    expect(counted).toBeGreaterThan(odd < 0.1 ? 700 : 400);
  });

  test.each([0, 0.02, 0.3])(
    'of a service above its clients’ ports, of which so many are odd: %d',
    (odd) => {
      const chunks = storm(700, random(7), odd, 60_000, 2);
      const expected = all(run(chunks, true));
      expect(Object.keys(expected.counts).join()).toContain('no-listener');
      expect(all(run(chunks, false))).toEqual(expected);
      expect(counted).toBeGreaterThan(odd < 0.1 ? 700 : 400);
    },
  );

  test('from a buffer that is used again', () => {
    const chunks = storm(700, random(7), 0.1);
    expect(all(run(chunks, false, true))).toEqual(all(run(chunks, true)));
    expect(counted).toBeGreaterThan(500);
  });

  test('cut anywhere', () => {
    const whole = Buffer.concat(storm(300, random(3), 0.1));
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < whole.length; at += 7919) pieces.push(whole.subarray(at, at + 7919));
    expect(all(run(pieces, false))).toEqual(all(run([whole], true)));
    expect(counted).toBeGreaterThan(200);
  });
});

const ends = (i: number) => ({ saddr: CLIENT, sport: 20_000 + i, daddr: SERVER, dport: 80 });

test('a record that is only to be counted is explained where none of its key was', () => {
  const records = Array.from({ length: 3 }, (_, i) =>
    answered({ ktime_ns: (i + 1) * MS, netns: 1, key: K.answer, occurrences: 0 }, ends(i)),
  );
  const pipeline = run([Buffer.concat([...records, tickAt(10 * MS)])], false);
  const [open] = pipeline.engine.findings.values();
  expect(open?.finding).toMatchObject({ cause: 'no-listener', count: 3, events: [1] });
  expect([counted, pipeline.events]).toEqual([2, 3]);
});

/** Each reset is because of one connect, also where the record of that connect was only counted. */
test('a failed connect stands for those of its key that were only counted', () => {
  const TIMES = 7;
  const connects = Array.from({ length: TIMES }, (_, i) =>
    refused(
      {
        ktime_ns: (i + 1) * MS,
        netns: 1,
        key: K.remote,
        occurrences: Number(i === 0 || i === TIMES - 1),
      },
      ends(i),
      PROXY,
    ),
  );
  const resets = Array.from({ length: TIMES }, (_, i) =>
    aborted(
      { ktime_ns: (i + 20) * MS, netns: 1, key: K.abort },
      { saddr: CLIENT, sport: 15_006, daddr: OTHER_HOST, dport: 50_000 + i },
      PROXY,
    ),
  );
  const listener = listens({ ktime_ns: 1, netns: 1, key: 0 }, CLIENT, 15_006, PROXY);
  const chunk = Buffer.concat([listener, ...connects, ...resets, tickAt(1000 * MS)]);
  expect(all(run([chunk], false)).counts).toEqual(all(run([chunk], true)).counts);
  expect(counted).toBe(TIMES - 2);
});

/** What came while the buffers were emptied is newer than the tick, and waits for the next one. */
test.each([1, 40])(
  'what waits for the next tick is not what its buffer holds by then (%i before it)',
  (count) => {
    const chunks = Array.from({ length: count + 1 }, (_, i) => {
      const common = { ktime_ns: (i + 1) * MS, netns: 1, key: K.answer };
      return Buffer.concat([answered(common, ends(i)), tickAt(common.ktime_ns - 1)]);
    });
    const pipeline = run([...chunks, tickAt(1000 * MS)], false, true);
    const [open] = pipeline.engine.findings.values();
    expect(open?.finding.count).toBe(count + 1);
    expect(open?.events.at(-1)?.text).toContain(`10.0.0.1:${20_000 + count} `);
    expect(pipeline.losses.rows()).toEqual([]);
    expect(pipeline.events).toBe(count + 1);
  },
);
