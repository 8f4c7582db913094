// SPDX-License-Identifier: Apache-2.0

import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ExportCounters } from '../../../src/agent/counters.ts';
import { Delivery } from '../../../src/agent/delivery.ts';
import { Shipper } from '../../../src/agent/shipper.ts';
import { FlightRecorder } from '../../../src/app/flight.ts';
import { MANY } from '../../../src/diagnose/many.ts';
import { partNumbers, partPath, type Rotation } from '../../../src/record/parts.ts';
import { attributesIn, fieldsOf, recordsIn } from './otlp.ts';
import { Receiver } from './receiver.ts';
import { RESOURCES } from './records.ts';
import { ScriptedSource } from './scripted.ts';

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-shipper-'));
afterAll(() => rmSync(folder, { recursive: true }));

let receiver: Receiver;
let recording: string;
let counters: ExportCounters;
let said: string[];
let runs = 0;

beforeEach(async () => {
  receiver = await Receiver.open();
  recording = join(mkdtempSync(join(folder, 'x-')), 'agent.tcpwhy.zst');
  counters = new ExportCounters();
  said = [];
});
afterEach(() => receiver.close());

/** An agent whose host does what it is told, until it is stopped or given up as if killed. */
class Running {
  readonly source = new ScriptedSource(String(++runs));
  readonly flight: FlightRecorder;
  readonly shipper: Shipper;
  readonly #rotation: Rotation;
  readonly #stop = new AbortController();
  #run: Promise<void> = Promise.resolve();

  constructor(keep = Infinity, wait = async () => {}) {
    this.#rotation = { max_bytes: null, max_age_ms: null, keep };
    let shipper: Shipper | null = null;
    this.flight = new FlightRecorder(this.source, recording, this.#rotation, RESOURCES, {
      began: () => {},
      ended: (number, findings) => shipper?.ended(number, findings),
    });
    shipper = new Shipper(
      {
        recording,
        cursor: `${recording}.cursor`,
        interval_ms: 1,
        resources: RESOURCES,
        counters,
        now_ns: () => 0,
        say: (text) => said.push(text),
        wait,
      },
      new Delivery(
        receiver.endpoint,
        counters,
        (text) => said.push(text),
        async () => {},
      ),
      this.flight,
    );
    this.shipper = shipper;
  }

  /** A second with these drops, after which all of them are settled. */
  second(...ports: number[]): this {
    this.source.drops(...ports);
    for (let ticks = 0; ticks < 10; ticks++) this.flight.tick();
    return this;
  }

  /** The recording goes on in another file. */
  rotate(): this {
    this.flight.flush();
    this.#rotation.max_bytes = 0;
    this.flight.tick();
    this.#rotation.max_bytes = null;
    return this;
  }

  run(): this {
    this.#run = this.shipper.run(this.#stop.signal);
    return this;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#run;
    this.flight.end('interrupted');
    await this.shipper.finish(AbortSignal.timeout(5000));
  }

  /** What was not written is lost, and nothing more is told. */
  async kill(): Promise<void> {
    this.#stop.abort();
    await this.#run;
  }
}

/** What the receiver was told, in order: port and count of each record. */
const told = () =>
  receiver.requests
    .flatMap(({ body }) => recordsIn(body))
    .map((record) => attributesIn(record))
    .map((one) => `${String(one['tcpwhy.where']).split(':')[1]}×${one['tcpwhy.count']}`);
/** Times of a finding's records, in their order, and its last count. */
interface Kept {
  where: string;
  count: number;
  times_ns: bigint[];
}
/** The same as a receiver keeps it: by the time of each record the newest of each finding. */
const byId = () => {
  const findings = new Map<string, Kept>();
  for (const record of receiver.requests.flatMap(({ body }) => recordsIn(body))) {
    const one = attributesIn(record);
    const [[, time_ns] = [0, 0n]] = fieldsOf(record).filter(([number]) => number === 1);
    const id = String(one['tcpwhy.finding.id']);
    const known = findings.get(id) ?? { where: '', count: 0, times_ns: [] };
    const times_ns = [...known.times_ns, time_ns as bigint];
    const isNewest = known.times_ns.every((before) => before <= (time_ns as bigint));
    const newest = { where: String(one['tcpwhy.where']), count: Number(one['tcpwhy.count']) };
    findings.set(id, { ...known, ...(isNewest && newest), times_ns });
  }
  return [...findings.values()];
};
const kept = () =>
  byId()
    .filter(({ count }) => count > 0)
    .map(({ where, count }) => `${where.split(':')[1] ?? where}×${count}`)
    .sort();
const cursor = () => JSON.parse(readFileSync(`${recording}.cursor`, 'utf8'));

test('each finding that grew is told, once an interval, with all that it counts', async () => {
  const agent = new Running().second(80, 80, 81).run();
  await expect.poll(told).toEqual(['80×2', '81×1']);
  agent.second(80);
  await expect.poll(told).toEqual(['80×2', '81×1', '80×3']);
  await expect.poll(cursor).toMatchObject({ number: 1, run: agent.source.header.run, part: 1 });
  agent.second(82);
  await agent.stop();
  expect(told()).toEqual(['80×2', '81×1', '80×3', '82×1']);
  expect(cursor()).toEqual({ number: 2, run: '', part: 0, ktime_ns: 0 });
  expect(counters).toMatchObject({ delivered: 4, overtaken: 0, unreadable: 0 });
});

test('after it was killed only what was not told is told', async () => {
  const first = new Running().second(79, 80).run();
  await expect.poll(told).toEqual(['79×1', '80×1']);
  await expect.poll(cursor).toMatchObject({ number: 1, part: 1 });
  await first.kill();
  first.second(80, 81).flight.flush();

  const second = new Running().second(90).run();
  await expect.poll(told).toEqual(['79×1', '80×1', '80×2', '81×1', '90×1']);
  await second.stop();
  expect(kept()).toEqual(['79×1', '80×2', '81×1', '90×1']);
});

describe('what is told of together by now is taken back, later than it was told', () => {
  const ports = Array.from({ length: MANY }, (_, at) => 1000 + at);
  const begin = async () => {
    const agent = new Running().second(...ports).run();
    await expect.poll(() => told().length).toBe(MANY);
    await expect.poll(cursor).toMatchObject({ number: 1, part: 1 });
    return agent;
  };
  const expectTogether = async () => {
    await expect.poll(kept).toEqual([`10.0.0.2×${MANY + 1}`]);
    for (const { times_ns } of byId())
      expect(times_ns.some((time_ns, at) => at > 0 && time_ns <= (times_ns[at - 1] ?? 0n))).toBe(
        false,
      );
  };

  test('by who told it', async () => {
    const agent = await begin();
    agent.second(2000);
    await expectTogether();
    await agent.stop();
  });

  test('by the next one, after that one was killed', async () => {
    const agent = await begin();
    await agent.kill();
    agent.second(2000).flight.flush();
    const next = new Running().run();
    await expectTogether();
    await next.stop();
  });
});

describe('where the clock is set, the last that is told of a finding is the newest', () => {
  const HOUR_NS = 3600e9;

  test.each([-HOUR_NS, HOUR_NS])('by %d ns', async (by_ns) => {
    const agent = new Running().second(80).run();
    await expect.poll(told).toEqual(['80×1']);
    agent.source.setsClock(by_ns);
    agent.second().second(80, 81);
    await expect.poll(kept).toEqual(['80×2', '81×1']);
    agent.source.setsClock(0);
    agent.second().second(80);
    await expect.poll(kept).toEqual(['80×3', '81×1']);
    await agent.stop();
  });

  test('after it was killed too', async () => {
    const agent = new Running().second(80).run();
    await expect.poll(told).toEqual(['80×1']);
    agent.source.setsClock(-HOUR_NS);
    agent.second().second(80);
    await expect.poll(kept).toEqual(['80×2']);
    await expect.poll(cursor).toMatchObject({ number: 1, part: 1 });
    await agent.kill();
    agent.second(80).flight.flush();

    const next = new Running().run();
    await expect.poll(kept).toEqual(['80×3']);
    await next.stop();
  });
});

test('what no collector took waits in its files, and comes in their order', async () => {
  receiver.answers = [() => ({ status: 503 })];
  const agent = new Running().second(80).run();
  await expect.poll(() => receiver.requests.length).toBeGreaterThan(0);
  agent.second(80).rotate().second(81).rotate().second(80, 82);
  receiver.requests.length = 0;
  receiver.answers = [() => ({ status: 200 })];
  // The request that is under way is told again as it was, and then the rest of its file.
  await expect.poll(told).toEqual(['80×1', '80×2', '81×1', '80×1', '82×1']);
  expect(agent.shipper.behind).toBe(0);
  await agent.stop();
});

test('without a cursor all there is is told, once more', async () => {
  const first = new Running().second(80).rotate().second(81).run();
  await expect.poll(told).toEqual(['80×1', '81×1']);
  await first.stop();
  writeFileSync(`${recording}.cursor`, 'x');
  const second = new Running().run();
  await expect.poll(told).toEqual(['80×1', '81×1', '80×1', '81×1']);
  expect(kept()).toEqual(['80×1', '81×1']);
  expect(said).toEqual([
    `${recording}.cursor: it is no cursor: all recordings that there are are told again`,
  ]);
  await second.stop();
});

test('files that were deleted before are counted, and said', async () => {
  receiver.answers = [() => ({ status: 503 })];
  const agent = new Running(2).second(80).run();
  await expect.poll(() => receiver.requests.length).toBeGreaterThan(0);
  agent.rotate().second(81).rotate().second(82).rotate().second(83);
  agent.flight.flush();
  expect(partNumbers(recording)).toEqual([3, 4]);
  await agent.kill();
  // What was under way may still come to the one before.
  await receiver.close();
  receiver = await Receiver.open();
  const next = new Running().run();
  await expect.poll(told).toEqual(['82×1', '83×1']);
  expect(counters.overtaken).toBe(2);
  expect(said).toContainEqual(expect.stringMatching(/^2 recordings were deleted before/));
  await next.stop();
});

test('a file that cannot be read is passed over, counted and said', async () => {
  const first = new Running().second(80).rotate().second(81);
  await first.kill();
  first.flight.flush();
  truncateSync(partPath(recording, 1), 3);
  const next = new Running().run();
  await expect.poll(told).toEqual(['81×1']);
  expect(counters.unreadable).toBe(1);
  await next.stop();
});

test('what is left at the end is told, of the file before too', async () => {
  const agent = new Running().second(80).rotate().second(81);
  await agent.stop();
  expect(told()).toEqual(['80×1', '81×1']);
});

test.each([
  { times: 2, are: 'told once it can be read', those: ['80×1', '81×1'], unreadable: 0 },
  { times: 99, are: 'passed over where that lasts', those: ['81×1'], unreadable: 1 },
])(
  'findings of a file that its disk does not give are $are',
  async ({ times, those, unreadable }) => {
    const first = new Running().second(80).rotate().second(81);
    await first.kill();
    first.flight.flush();
    const path = partPath(recording, 1);
    renameSync(path, `${path}.away`);
    // What is read of a directory is an error of the file system, not of a recording.
    mkdirSync(path);
    let waited = 0;
    const next = new Running(Infinity, async () => {
      if (++waited !== times) return;
      rmdirSync(path);
      renameSync(`${path}.away`, path);
    }).run();
    await expect.poll(told).toEqual(those);
    expect(said.filter((text) => text.includes('it is read again later'))).toHaveLength(1);
    expect(counters.unreadable).toBe(unreadable);
    await next.stop();
  },
);

test('a cursor of recordings that are gone is none', async () => {
  writeFileSync(
    `${recording}.cursor`,
    JSON.stringify({ number: 99, run: '1', part: 1, ktime_ns: 1 }),
  );
  const agent = new Running().second(80).run();
  await expect.poll(told).toEqual(['80×1']);
  await agent.stop();
});

test('another file of the same number is told from its beginning', async () => {
  const first = new Running().second(80).run();
  await expect.poll(cursor).toMatchObject({ number: 1, part: 1 });
  await first.kill();
  first.flight.flush();
  writeFileSync(`${recording}.cursor`, JSON.stringify({ ...cursor(), run: 'another' }));
  const next = new Running().run();
  await expect.poll(told).toEqual(['80×1', '80×1']);
  await next.stop();
});
