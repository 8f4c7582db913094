// SPDX-License-Identifier: Apache-2.0

import { queryObjects } from 'node:v8';
import { expect, test } from 'vitest';
import { Entry, ExpiringMap } from '../../../src/known/expiring-map.ts';
import { random } from '../diagnose/random.ts';

const SPAN_NS = 100;
const MAX = 8;

/** The same by going over everything each time. */
class Plain {
  entries: { key: string; value: number; ktime_ns: number }[] = [];

  set(key: string, value: number, ktime_ns: number): void {
    this.entries = this.entries.filter((one) => one.key !== key);
    this.entries.push({ key, value, ktime_ns });
    this.entries = this.entries.filter((one) => ktime_ns - one.ktime_ns <= SPAN_NS);
    this.entries = this.entries.slice(-MAX);
  }

  get(key: string, ktime_ns: number): number | undefined {
    const found = this.entries.find((one) => one.key === key);
    return found && ktime_ns - found.ktime_ns <= SPAN_NS ? found.value : undefined;
  }
}

test.for([3, 8, 9, 40])('keeps what is recent of %i keys, the newest where it is full', (keys) => {
  const recent = new ExpiringMap<number>(SPAN_NS, MAX);
  const plain = new Plain();
  const next = random(keys);
  let ktime_ns = 0;
  for (let round = 0; round < 5000; round++) {
    ktime_ns += next() < 0.01 ? 2 * SPAN_NS : Math.floor(next() * 20);
    const key = `k${Math.floor(next() * keys)}`;
    recent.set(key, round, ktime_ns);
    plain.set(key, round, ktime_ns);
    for (let other = 0; other < keys; other++)
      expect(recent.get(`k${other}`, ktime_ns)).toBe(plain.get(`k${other}`, ktime_ns));
  }
});

test('holds no more than it tells of, however often a key is set anew', () => {
  const entries = () => queryObjects(Entry, { format: 'count' });
  const recent = new ExpiringMap<object>(SPAN_NS, MAX);
  const before = entries();
  for (let round = 0; round < 5 * MAX; round++) recent.set(`k${round % 3}`, {}, 1);
  expect(entries() - before).toBe(3);
  for (let round = 0; round < 5 * MAX; round++) recent.set(`other ${round}`, {}, 1);
  expect(entries() - before).toBe(MAX);
  recent.set('late', {}, 2 * SPAN_NS);
  expect(entries() - before).toBe(1);
});
