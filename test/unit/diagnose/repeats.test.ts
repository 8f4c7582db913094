// SPDX-License-Identifier: Apache-2.0

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CAUSES } from '../../../src/causes/registry.gen.ts';
import { Engine } from '../../../src/diagnose/engine.ts';
import { Pipeline } from '../../../src/diagnose/pipeline.ts';
import { HostKnowledge } from '../../../src/flow/knowledge.ts';
import { decodeEvent } from '../../../src/wire/decode.ts';
import type { Event } from '../../../src/wire/event.ts';
import { AT, BODY } from '../../../src/wire/written.gen.ts';
import { headerWith } from '../causes/fixture.ts';
import { HEADER } from './events.ts';
import { random } from './random.ts';
import { aborted, answered, dropped, flowAt, listens, refused, tickAt } from './records.ts';

const MS = 1e6;
const CLIENT = 0x0a000001;
const SERVER = 0x0a000002;
const OTHER_HOST = 0x0a000003;
const PROXY = 77;
const K = { answer: 11, away: 16, refusal: 12, remote: 13, drop: 14, abort: 15 };
/** Of the drop reasons of HEADER. */
const REASON = 1;

interface Timed {
  ktime_ns: number;
  bytes: Uint8Array;
}

/** Connections that are refused, each from a port of its own, and what else may happen to them. */
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
    const away = { saddr: CLIENT, sport: 20_000 + i, daddr: OTHER_HOST, dport: port + 1, service };
    const strange = next() < odd;
    const kind = Math.floor(next() * 6);
    const late = strange && kind === 0 ? 1 : 0;
    if (i % 2 === 0) {
      add(ms + 2 * late, (common) => answered({ ...common, key: K.answer }, here));
      add(ms + 1, (common) => refused({ ...common, key: K.refusal }, here, PROXY));
    } else {
      add(ms, (common) => refused({ ...common, key: K.remote }, away, PROXY));
    }
    if (!strange) continue;
    if (kind === 1) add(ms + 0.1, (common) => dropped({ ...common, key: K.drop }, here, REASON));
    if (kind === 2) add(ms + 40, (common) => refused({ ...common, key: K.refusal }, here, PROXY));
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

function all({ engine, events, losses }: Pipeline) {
  const findings = [...engine.findings.values()].map(({ finding, flows, events: lines }) => ({
    ...finding,
    flows: [...flows.values()].sort((a, b) => (a.text < b.text ? -1 : 1)),
    lines: lines.map(({ seq, time_ns, text }) => ({ seq, time_ns, text })),
  }));
  findings.sort((a, b) => (a.id < b.id ? -1 : 1));
  return {
    findings: findings.filter(({ count }) => count !== 0),
    unexplained: engine.unexplained,
    benign: engine.benign,
    events,
    losses: losses.rows(),
  };
}

let followed = 0;
beforeEach(() => {
  followed = 0;
  const { repeat } = Engine.prototype;
  vi.spyOn(Engine.prototype, 'repeat').mockImplementation(function (this: Engine, record, seq) {
    const told = repeat.call(this, record, seq);
    if (told) followed++;
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
    expect(followed).toBe(0);
    expect(expected.findings.map(({ cause }) => cause)).toContain('no-listener');
    expect(expected.findings.map(({ cause }) => cause)).toContain('connect-refused');
    expect(all(run(chunks, false))).toEqual(expected);
    expect(followed).toBeGreaterThan(odd < 0.1 ? 600 : 300);
  });

  test.each([0, 0.02, 0.3])(
    'of a service above its clients’ ports, of which so many are odd: %d',
    (odd) => {
      const chunks = storm(700, random(7), odd, 60_000, 2);
      const expected = all(run(chunks, true));
      expect(expected.findings.map(({ cause }) => cause)).toContain('no-listener');
      expect(all(run(chunks, false))).toEqual(expected);
      expect(followed).toBeGreaterThan(odd < 0.1 ? 600 : 300);
    },
  );

  /** Both ends are sampled, each on its own; then nothing is seen of one of them any more. */
  test('sampled', () => {
    const records = Array.from({ length: 900 }, (_, i) => {
      const common = { ktime_ns: (i + 1) * 5 * MS, netns: 1, occurrences: 5 };
      const ends = { saddr: CLIENT, sport: 20_000 + i, daddr: SERVER, dport: 80 };
      const end =
        i % 2 === 0 && i < 150
          ? answered({ ...common, key: K.answer }, ends)
          : refused({ ...common, key: K.refusal }, ends, PROXY);
      return Buffer.concat([end, tickAt(common.ktime_ns)]);
    });
    const expected = all(run(records, true));
    const counts = expected.findings.map(({ cause, count }) => [cause, count]);
    expect(counts).toEqual([
      ['connect-refused', expect.any(Number)],
      ['no-listener', 75 * 5],
    ]);
    expect(all(run(records, false))).toEqual(expected);
    expect(followed).toBeGreaterThan(300);
  });

  test('from a buffer that is used again', () => {
    const chunks = storm(700, random(7), 0.1);
    expect(all(run(chunks, false, true))).toEqual(all(run(chunks, true)));
    expect(followed).toBeGreaterThan(500);
  });

  test('cut anywhere', () => {
    const whole = Buffer.concat(storm(300, random(3), 0.1));
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < whole.length; at += 7919) pieces.push(whole.subarray(at, at + 7919));
    expect(all(run(pieces, false))).toEqual(all(run([whole], true)));
    expect(followed).toBeGreaterThan(200);
  });
});

/** What came while the buffers were emptied is newer than the tick, and waits for the next one. */
test.each([1, 40])(
  'what waits for the next tick is not what its buffer holds by then (%i before it)',
  (count) => {
    const ends = (i: number) => ({ saddr: CLIENT, sport: 20_000 + i, daddr: SERVER, dport: 80 });
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

test('what changed since is explained anew', () => {
  const ends = { saddr: CLIENT, sport: 20_000, daddr: SERVER, dport: 80 };
  const answers = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => {
      const ktime_ns = (from + i) * MS;
      const common = { ktime_ns, netns: 1, key: K.answer };
      return [answered(common, { ...ends, sport: 20_000 + from + i }), tickAt(ktime_ns)];
    }).flat();
  const listener = listens({ ktime_ns: 51 * MS, netns: 1, key: 0 }, OTHER_HOST, 80, PROXY);
  const pipeline = run([Buffer.concat([...answers(1, 50), listener, ...answers(52, 3)])], false);
  const [open] = pipeline.engine.findings.values();
  expect(open?.finding.count).toBe(53);
  expect(open?.finding.evidence.listeners_on_port).toHaveLength(1);
  expect(followed).toBeGreaterThan(30);
});

/** What makes it right to count a record without looking at the rest of it. */
describe('causes see no more of an event that may be repeated than its key and its ends say', () => {
  const known = new HostKnowledge(headerWith(HEADER));
  const verdicts = (event: Event) =>
    CAUSES.flatMap((cause) => {
      const match = cause.on.includes(event.kind) ? cause.match(event, known) : null;
      return match ? [`${cause.id} ${match.group}`] : [];
    });
  const next = random(1);
  const word = () => Math.floor(next() * 2 ** 32) | 0;

  test.each(Array.from({ length: 200 }, (_, i) => i))('an answered SYN (%i)', (i) => {
    const packet = BODY + AT.ResetSent.packet;
    const anything: [number, number][] = [
      AT.Packet.seq,
      AT.Packet.ack_seq,
      AT.Packet.window,
      AT.Packet.has_timestamps,
      AT.Packet.tsval,
      AT.Packet.tsecr,
      AT.Packet.ifindex,
      AT.Packet.ttl,
    ].map((at) => [packet + at, word()]);
    const common = { ktime_ns: 1 + i, netns: 1, key: K.answer };
    const ends = { saddr: CLIENT, sport: 20_000 + i, daddr: SERVER, dport: 80 };
    const listener: [number, number][] =
      i % 2
        ? flowAt(BODY + AT.ResetSent.listener + AT.Sock.flow, { ...ends, sport: 80, dport: 0 })
        : [];
    const event = decodeEvent(answered(common, ends, [...anything, ...listener]).subarray(4));
    expect(event && verdicts(event)).toEqual(['no-listener 1 10.0.0.2 80']);
  });

  test.each([1, 2, 4, 5, 8, 9])('a reset that a socket in state %i believed', (state) => {
    const sock = BODY + AT.ResetReceived.sock;
    const places = [
      AT.Sock.unread_bytes,
      AT.Sock.unacked_bytes,
      AT.Sock.snd_nxt,
      AT.Sock.rcv_nxt,
      AT.Sock.err,
      AT.Sock.linger,
      AT.Sock.retransmits,
      AT.Sock.unanswered_ms,
    ];
    const seen = new Set<string>();
    for (let i = 0; i < 100; i++) {
      const ends = { saddr: CLIENT, sport: 20_000 + i, daddr: SERVER, dport: 80 };
      const bytes = refused({ ktime_ns: 1, netns: 1, key: K.refusal }, ends, 1 + i);
      const w = new Int32Array(bytes.buffer);
      w[1 + sock + AT.Sock.state] = state;
      for (const at of places) w[1 + sock + at] = word();
      for (let at = AT.Packet.flags; at < AT.Packet.device - 2; at += 2)
        w[1 + BODY + AT.ResetReceived.packet + at] = word();
      const event = decodeEvent(bytes.subarray(4));
      seen.add(event ? verdicts(event).join() : 'nothing');
    }
    expect([...seen]).toHaveLength(1);
    expect([...seen][0]).toMatch(
      /^[a-z-]+ 1 to 10\.0\.0\.2 80$|^connect-refused 1 10\.0\.0\.2 80$/,
    );
  });
});
