// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { Narrowed } from '../../../src/diagnose/narrowed.ts';
import { Pipeline } from '../../../src/diagnose/pipeline.ts';
import { matcher, type Target } from '../../../src/source/filter.ts';
import { encodeEvent, eventFromJson } from '../../../src/wire/decode.ts';
import { EVENT_KINDS } from '../../../src/wire/kinds.gen.ts';
import { headerWith, type Json, streamOf } from '../causes/fixture.ts';
import { CAUSES, HEADER, packetEvent, REASON, tick, totals } from './events.ts';

const drop = (ms: number, dport: number, key: string, occurrences = 1, sport = 40_000): Json =>
  packetEvent('drop', { ms, dport, sport, key, occurrences, reason: REASON.strong });
const kinds = [{ kind: EVENT_KINDS.drop, reason: REASON.strong, count: 999 }];
const port = (port: number): Target => ({ net: null, port });

/** What is found of what has one of the ports. */
function found(ports: number[], events: Json[], filtered = true) {
  const wanted = matcher({ groups: ports.length > 0 ? [ports.map(port)] : [], netns: null });
  const narrowed = filtered ? new Narrowed(wanted) : null;
  const pipeline = new Pipeline(headerWith(HEADER), CAUSES, null, null, narrowed);
  pipeline.push(streamOf(events));
  pipeline.push(encodeEvent(tick(10_000)));
  pipeline.finish();
  const all = [...pipeline.engine.findings.values()].map(({ finding }) => finding.count);
  const count = all.reduce((sum, one) => sum + one, 0);
  const undecided = pipeline.losses.rows().find(({ name }) => name === 'filter_undecided')?.count;
  return { count, drops: pipeline.counted.drop ?? 0, events: pipeline.events, undecided };
}

describe('of a recording only what is asked for counts', () => {
  const events = [
    drop(1, 80, '1'),
    drop(2, 81, '2'),
    drop(3, 80, '1', 64),
    drop(4, 81, '2', 100),
    // The totals of key 3 come for what never was a record, and in front of the last records.
    totals(5, { 1: 500, 2: 300, 3: 199 }, kinds),
    drop(5, 80, '1', 35),
    tick(6),
  ];

  test('records and totals, by key', () => {
    expect(found([80], events)).toEqual({
      count: 500,
      drops: 500,
      events: 3,
      undecided: undefined,
    });
    expect(found([81], events)).toEqual({
      count: 300,
      drops: 300,
      events: 2,
      undecided: undefined,
    });
    expect(found([80, 81], events)).toMatchObject({ count: 800, drops: 800, events: 5 });
    expect(found([82], events)).toEqual({ count: 0, drops: 0, events: 0, undecided: undefined });
  });

  test('what is not asked for changes nothing', () => {
    const asked = events.filter((event) => !JSON.stringify(event).includes('"dport":81'));
    const alone = found([], asked, false);
    expect(found([80], events)).toMatchObject({ count: alone.count, events: alone.events });
  });

  test('of a key that others have too, its records; that there are more is said', () => {
    const shared = [
      drop(1, 80, '1', 1, 50_000),
      drop(2, 80, '1', 1, 50_001),
      drop(3, 80, '1', 10, 50_000),
      drop(4, 80, '1', 20, 50_001),
      totals(5, { 1: 40 }, kinds),
      tick(6),
    ];
    expect(found([50_000], shared)).toEqual({ count: 2, drops: 2, events: 2, undecided: 36 });
    expect(found([80], shared)).toMatchObject({ count: 40, drops: 40, undecided: undefined });
  });

  test('what files before this one counted does not count again', () => {
    const before = { keys: [{ key: '1', count: 100, pending: 3 }], kinds };
    const later = [
      { ktime_ns: '1', tick: { before } },
      drop(1, 80, '1', 4),
      totals(5, { 1: 120 }, kinds),
      tick(6),
    ];
    const whole = found([80], later, false).count;
    expect(found([80], later)).toEqual({
      count: whole,
      drops: whole,
      events: 1,
      undecided: undefined,
    });
    expect(whole).toBe(20);
  });
});

test('of more keys than are told apart only records are counted, and others are a loss', () => {
  const keys = 200_000;
  const wanted = matcher({ groups: [[port(80)]], netns: null });
  const narrowed = new Narrowed(wanted);
  const [asked, other] = [80, 81].map((dport) => eventFromJson(drop(1, dport, '1', 5)));
  if (!asked || !other) throw new Error('no events');
  for (let key = 1; key <= keys; key++) narrowed.event({ ...asked, key: String(key) });
  expect(narrowed.takeUndecided()).toBe(0);
  expect(narrowed.event({ ...other, key: 'x' })).toBeNull();
  expect(narrowed.event({ ...asked, key: 'x' })).toMatchObject({ key: '0', occurrences: 1 });
  expect(narrowed.takeUndecided()).toBe(4);
  expect(narrowed.takeUndecided()).toBe(0);
  expect(narrowed.event({ ...asked, key: '7' })).toMatchObject({ key: '7', occurrences: 5 });
});

test('of what was counted before, more keys than are told apart are as those', () => {
  const keys = Array.from({ length: 200_001 }, (_, key) => ({
    key: String(key + 1),
    count: 9,
    pending: 1,
  }));
  const wanted = matcher({ groups: [[port(80)]], netns: null });
  const narrowed = new Narrowed(wanted);
  const asked = eventFromJson(drop(1, 80, '1', 5));
  narrowed.before({ keys, kinds: [] });
  expect(narrowed.event({ ...asked, key: '7' })).toMatchObject({ key: '7', occurrences: 5 });
  expect(narrowed.event({ ...asked, key: '200001' })).toMatchObject({ key: '0', occurrences: 1 });
  expect(narrowed.takeUndecided()).toBe(4);
});
