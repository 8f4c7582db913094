// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { CAUSES } from '../../../src/causes/registry.gen.ts';
import { Pipeline } from '../../../src/diagnose/pipeline.ts';
import { PartCounts } from '../../../src/source/part-counts.ts';
import { type KeyTotal, NewTotals } from '../../../src/source/totals.ts';
import { encodeEvent } from '../../../src/wire/decode.ts';
import { Records } from '../../../src/wire/written.ts';
import { headerWith } from '../causes/fixture.ts';
import { HEADER } from '../diagnose/events.ts';
import { random } from '../diagnose/random.ts';
import { answered } from '../diagnose/records.ts';

const SERVER = 0x0a000002;
const CLIENT = 0x0a000001;

/** What the BPF programs do with resets of several ports: exact totals, and records of some in a buffer. */
class Kernel {
  readonly totals = new Map<number, { count: number; pending: number }>();
  /** Ports of which some time has passed without a reset: the next is a record. */
  readonly rested = new Set<number>();
  #ring: Uint8Array[] = [];
  #ktime_ns = 1;
  #sport = 1024;
  readonly #next: () => number;
  readonly #sampled: number;

  constructor(next: () => number, sampled: number) {
    this.#next = next;
    this.#sampled = sampled;
  }

  get ktime_ns(): number {
    return ++this.#ktime_ns;
  }

  /** Returns what writes the record: the totals may be read before. */
  reset(port: number): () => void {
    const total = this.totals.get(port) ?? { count: 0, pending: 0 };
    this.totals.set(port, total);
    total.count++;
    total.pending++;
    if (total.count > 1 && !this.rested.delete(port) && this.#next() < this.#sampled)
      return () => {};
    const { ktime_ns } = this;
    return () => {
      const common = { ktime_ns, netns: 1, key: port, occurrences: total.pending };
      const sport = ++this.#sport;
      const ends = { saddr: CLIENT, sport, daddr: SERVER, dport: port };
      this.#ring.push(answered(common, ends));
      total.pending = 0;
    };
  }

  drain(): Uint8Array {
    return Buffer.concat(this.#ring.splice(0));
  }

  read(): KeyTotal[] {
    return [...this.totals].map(([port, total]) => ({ key: BigInt(port), ...total }));
  }
}

const asText = ({ key, count }: KeyTotal) => ({ key: String(key), count });

function pipeline(): Pipeline {
  return new Pipeline(headerWith(HEADER), CAUSES);
}

/** Ends the stream, and returns how often each port was found. */
function found(of: Pipeline): Map<number, number> {
  of.finish();
  const findings = [...of.engine.findings.values()].map(({ finding }) => finding);
  expect(findings.every(({ cause }) => cause === 'no-listener')).toBe(true);
  return new Map(findings.map(({ flow, count }) => [flow.dport, count]));
}

test.each(
  Array.from({ length: 24 }, (_, seed) => [seed, [0, 0.2, 0.7][seed % 3] as number] as const),
)('files of seed %i, of which so many resets are no record: %d', (seed, sampled) => {
  const next = random(seed);
  const kernel = new Kernel(next, sampled);
  const counts = new PartCounts();
  const fresh = new NewTotals();
  const live = pipeline();
  const parts = [pipeline()];
  const push = (chunk: Uint8Array) => {
    live.push(chunk);
    parts.at(-1)?.push(chunk);
  };
  const resets = () => {
    for (let more = Math.floor(next() * 4); more > 0; more--)
      kernel.reset(80 + Math.floor(next() * 5))();
  };
  const tick = (last: boolean) => {
    const { ktime_ns } = kernel;
    resets();
    const records = kernel.drain();
    const each = new Records(records);
    while (each.next()) counts.add(each.w, each.at);
    push(records);
    if (!last) resets();
    const write = last ? () => {} : kernel.reset(80);
    const keys = kernel.read();
    write();
    const ends = last || next() < 0.3;
    const told = ends ? counts.end(keys) : fresh.of(keys);
    if (ends) fresh.forget();
    push(encodeEvent({ ktime_ns, totals: { keys: told.map(asText), kinds: [] } }));
    push(encodeEvent({ ktime_ns, tick: { lost: [] } }));
    if (!ends || last) return;
    parts.push(pipeline());
    for (const port of kernel.totals.keys()) kernel.rested.add(port);
    parts
      .at(-1)
      ?.push(encodeEvent({ ktime_ns, tick: { lost: [], before: { keys: counts.before() } } }));
  };
  for (let i = 0; i < 60; i++) {
    resets();
    tick(false);
  }
  tick(true);
  const sum = new Map<number, number>();
  for (const part of parts)
    for (const [port, count] of found(part)) sum.set(port, (sum.get(port) ?? 0) + count);
  const exact = new Map([...kernel.totals].map(([port, { count }]) => [port, count]));
  expect(found(live)).toEqual(exact);
  expect(parts.length).toBeGreaterThan(5);
  expect(sum).toEqual(exact);
});
