// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { type AskOf, CallFacts } from '../../../src/source/call-facts.ts';
import { decodeEvent } from '../../../src/wire/decode.ts';
import { FrameReader } from '../../../src/wire/frames.ts';
import { AT, WRITTEN } from '../../../src/wire/written.gen.ts';

const [CALL_FAILED, DROP] = [75, 19] as const;
const layout = WRITTEN[CALL_FAILED];
const ASKED: NonNullable<ReturnType<AskOf>> = {
  ...{ route_errno: 101, route_type: '', prefix: '', table: 0, rule: '', source_missing: 0 },
  ...{ addresses: 1, global_addresses: 1, tentative: 0, duplicate: 0, device: '', state: '' },
  ...{ hooked: [], modules: [] },
};

function record(ktime_ns: number, key: number) {
  const w = new Int32Array(layout.words);
  const bytes = Buffer.from(w.buffer);
  bytes.writeBigUInt64LE(BigInt(ktime_ns), 4 * AT.Event.ktime_ns);
  bytes.writeBigUInt64LE(BigInt(key), 4 * AT.Event.key);
  w[AT.Event.netns] = 7;
  return w;
}

function finder(took_ms = 0, answer: ReturnType<AskOf> = ASKED) {
  let now_ms = 0;
  const asked: number[] = [];
  const facts = new CallFacts(
    (netns) => {
      asked.push(netns);
      now_ms += took_ms;
      return answer;
    },
    () => now_ms,
  );
  const of = (ktime_ns: number, key: number) => {
    const found = facts.of(record(ktime_ns, key), 0, layout);
    return [...new FrameReader().push(Buffer.concat(found))].map(
      ({ bytes }) => decodeEvent(bytes)?.body,
    );
  };
  return { of, asked, facts };
}

test('a call that failed is asked about, once a second and key', () => {
  const { of, asked, facts } = finder();
  expect(of(1e9, 5)).toMatchObject([{ connect_asked: { key: '5', route_errno: 101 } }]);
  expect(of(1.5e9, 5)).toEqual([]);
  expect(of(1.5e9, 6)).toHaveLength(1);
  expect(of(2.1e9, 5)).toHaveLength(1);
  facts.forget();
  expect(of(2.2e9, 5)).toHaveLength(1);
  expect(asked).toEqual([7, 7, 7, 7]);
});

test('what was not counted apart is asked about each time', () => {
  const { of } = finder();
  expect([...of(1e9, 0), ...of(1e9, 0)]).toHaveLength(2);
});

test('nothing is told of other records, nor where the namespace is gone', () => {
  const { facts } = finder();
  const w = new Int32Array(WRITTEN[DROP].words);
  expect(facts.of(w, 0, WRITTEN[DROP])).toEqual([]);
  expect(finder(0, null).of(1e9, 5)).toEqual([]);
});

test('asking takes a share of the time, however many calls fail', () => {
  const { of, asked } = finder(100);
  for (let key = 1; key <= 100; key++) of(1e9, key);
  expect(asked.length).toBeLessThan(25);
  const before = asked.length;
  for (let key = 101; key <= 200; key++) of(2e9, key);
  expect(asked.length - before).toBeGreaterThan(0);
  expect(asked.length - before).toBeLessThan(5);
});
