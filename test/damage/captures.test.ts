// SPDX-License-Identifier: Apache-2.0

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { Capture } from '../../src/capture/capture.ts';
import { CAUSES } from '../../src/causes/registry.gen.ts';
import { Pipeline } from '../../src/diagnose/pipeline.ts';
import { opened, pcap, type Row } from '../unit/capture/captures.ts';

const TIMES = 10_000;
const CONNECTIONS = 40;
/** By then what is compiled and cached once is there. */
const WARM = TIMES / 4;
/** Were what belongs to a file kept, it would be 1500 MB; the addon's allocator keeps some of what is free. */
const MOST_GROWTH_BYTES = 128 << 20;

const CAPTURES = join(import.meta.dirname, '../captures');
const REAL = readdirSync(CAPTURES).filter((name) => name.endsWith('.pcap'));

/** Connections that end well, so that whatever is found is made of damage. */
const HEALTHY: Row[] = Array.from({ length: CONNECTIONS }, (_, at) => {
  const [client, server] = [`10.4.26.45:${40_000 + at}`, '10.4.26.11:80'];
  const at_ms = at * 20;
  const up = { from: client, to: server };
  const down = { from: server, to: client };
  return [
    ...opened(client, server, { at_ms, isn: 1000 * at, server_isn: 77_000 * at }),
    { at_ms: at_ms + 1, ...down, flags: 'F.', seq: 77_000 * at + 1, ack: 1000 * at + 101 },
    { at_ms: at_ms + 2, ...up, flags: 'F.', seq: 1000 * at + 101, ack: 77_000 * at + 2 },
    { at_ms: at_ms + 3, ...down, flags: '.', seq: 77_000 * at + 2, ack: 1000 * at + 102 },
  ];
}).flat();

/** The same numbers each time. */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed >>> 0; ; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

/** Bytes that are resident, without what is only not collected yet. */
async function resident(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  collect();
  // What the addon held is freed in a task of its own.
  await setImmediate();
  collect();
  return process.memoryUsage().rss;
}

function causes(bytes: Uint8Array, pieces: number): string[] {
  const capture = new Capture('damaged');
  const size = Math.ceil(bytes.length / pieces);
  const messages: Uint8Array[] = [];
  try {
    for (let at = 0; at < bytes.length; at += size)
      messages.push(capture.push(bytes.subarray(at, at + size)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOCAPTURE') throw error;
    return [];
  }
  messages.push(capture.end(false));
  const pipeline = new Pipeline(capture.header(), CAUSES);
  for (const one of messages) pipeline.push(one);
  pipeline.finish();
  expect(pipeline.losses.rows().map(({ name }) => name)).not.toContain('records_undecodable');
  return [...pipeline.engine.findings.values()].map(({ finding }) => finding.cause);
}

test('the capture itself is healthy', () => {
  expect(causes(pcap(HEALTHY), 1)).toEqual([]);
});

test('bytes that are flipped, cut out and put in', async () => {
  const next = numbers(7);
  const random = (below: number) => Math.floor(next.next().value * below);
  const wholes = [pcap(HEALTHY), ...REAL.map((name) => readFileSync(join(CAPTURES, name)))];
  let before = 0;
  for (let turn = 0; turn < TIMES; turn++) {
    if (turn === WARM) before = await resident();
    let bytes = Buffer.from(wholes[turn % wholes.length] ?? []);
    for (let damage = 0; damage <= random(4); damage++) {
      const at = random(bytes.length);
      const kind = random(4);
      if (kind === 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
      else if (kind === 1)
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random(200))]);
      else if (kind === 2) bytes = bytes.subarray(0, Math.max(1, at));
      else
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          Buffer.alloc(random(200), random(256)),
          bytes.subarray(at),
        ]);
    }
    causes(bytes, 1 + random(5));
    // What the addon held is freed between two tasks.
    if (turn % 100 === 0) await setImmediate();
  }
  expect((await resident()) - before).toBeLessThan(MOST_GROWTH_BYTES);
});

test('where packets are missing, nothing is found', () => {
  const next = numbers(11);
  for (let turn = 0; turn < 300; turn++) {
    const share = next.next().value;
    const rows = HEALTHY.filter(() => next.next().value > share);
    expect(causes(pcap(rows), 1)).toEqual([]);
  }
});

test('after damage packets are found again', () => {
  const whole = pcap(HEALTHY);
  const broken = Buffer.concat([
    whole.subarray(0, 3001),
    Buffer.alloc(999, 0xee),
    whole.subarray(3001),
  ]);
  const capture = new Capture('damaged');
  capture.push(broken);
  expect(capture.segments).toBeGreaterThan(HEALTHY.length - 10);
});
