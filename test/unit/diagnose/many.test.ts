// SPDX-License-Identifier: Apache-2.0

import { beforeEach, expect, test } from 'vitest';
import { Engine } from '../../../src/diagnose/engine.ts';
import { MANY } from '../../../src/diagnose/many.ts';
import { WallClock } from '../../../src/known/clock.ts';
import { HostKnowledge } from '../../../src/known/host-knowledge.ts';
import { eventFromJson } from '../../../src/wire/decode.ts';
import { headerWith, type Json } from '../causes/fixture.ts';
import { answerEvent, CAUSES, HEADER, MS, packetEvent, REASON } from './events.ts';

/** A key of all ports of one host, and one of all hosts. */
const OF_HOST = String(2 ** 40 + 7);
const OF_CAUSE = String(2 ** 41 + 7);

let engine: Engine;
let seq: number;

beforeEach(() => {
  engine = new Engine(CAUSES, new HostKnowledge(headerWith(HEADER)), new WallClock(headerWith()));
  seq = 0;
});

function take(...events: Json[]): void {
  for (const event of events.map(eventFromJson)) {
    engine.advance(event.ktime_ns);
    engine.accept(event, ++seq);
  }
}

const told = () =>
  [...engine.findings.values()]
    .filter(({ finding }) => finding.count > 0)
    .map(({ finding: { cause, count, where, many } }) => ({ cause, count, where, many }));

/** A service at 10.0.0.2:`dport` answers a client at 10.0.0.1. */
const strong = (ms: number, dport: number, more = {}) =>
  answerEvent({ ms, dport, reason: REASON.strong, ...more });
const weak = (ms: number, dport: number, more = {}) =>
  packetEvent('reset_sent', { ms, dport, reason: REASON.weak, ...more });

test('as many subjects as a few stay apart, more are one', () => {
  for (let i = 0; i < MANY; i++) take(strong(i, 1000 + i));
  engine.finish();
  expect(told()).toHaveLength(MANY);
  expect(told().every(({ many }) => many === undefined)).toBe(true);
  const before = engine.takeChanged().map(({ id }) => id);
  take(strong(100, 2000), strong(101, 1000));
  engine.finish();
  const ports = MANY + 1;
  const many = { ports, hosts: 1, netns: 1, users: 1, at_least: false };
  expect(told()).toEqual([{ cause: 'strong', count: MANY + 2, where: '10.0.0.2', many }]);
  const [open] = engine.findings.values();
  expect(open?.finding.summary).toBe(
    `on ${ports} ports of 10.0.0.2 from 10.0.0.1; the last: strong`,
  );
  const withdrawn = engine.takeChanged().filter(({ count }) => count === 0);
  expect(withdrawn.map(({ id }) => id)).toEqual(before);
});

test('what was counted for a whole host is told of the host', () => {
  take(strong(0, 1000, { key: OF_HOST }), strong(1, 1001, { key: OF_HOST, occurrences: 40 }));
  engine.total(OF_HOST, 50);
  engine.finish();
  const many = { ports: 2, hosts: 1, netns: 1, users: 1, at_least: true };
  expect(told()).toEqual([{ cause: 'strong', count: 50, where: '10.0.0.2', many }]);
});

test('what was counted for all hosts is told of none of them', () => {
  take(strong(0, 1000), strong(1, 1001, { key: OF_CAUSE, occurrences: 40 }));
  engine.finish();
  expect(told().map(({ count, many }) => [count, many?.ports])).toEqual([
    [1, undefined],
    [40, 1],
  ]);
});

test('the other end at another port of a host that was counted as a whole says more', () => {
  take(
    strong(0, 1000, { key: OF_HOST, occurrences: 10 }),
    weak(1, 1001),
    weak(2, 1002, { occurrences: 9, key: '9' }),
  );
  engine.finish();
  expect(told().map(({ cause, count }) => [cause, count])).toEqual([['strong', 10]]);
});

test('the other end at another port of a host whose ports were told apart is another failure', () => {
  take(strong(0, 1000, { key: '8' }), weak(1, 1001, { key: '9' }));
  engine.finish();
  expect(told().map(({ cause, count }) => [cause, count])).toEqual([
    ['strong', 1],
    ['weak', 1],
  ]);
});

test('waits for the totals where the other end may have been sampled', () => {
  take(strong(0, 80, { key: '8' }), weak(1, 80, { key: '9', sport: 40_001 }));
  engine.advance(900 * MS);
  expect(told().map(({ cause }) => cause)).toEqual(['strong']);
  engine.total('8', 2);
  engine.totalled();
  engine.finish();
  expect(told().map(({ cause, count }) => [cause, count])).toEqual([['strong', 2]]);
});

test('says how many were counted of which there is no record', () => {
  take(strong(0, 80, { key: '8' }));
  engine.total('8', 2);
  engine.total('9', 5);
  engine.finish();
  expect(engine.untold).toBe(5);
});

/** Of another service, each in a namespace of its own. */
const alone = (ms: number, i: number, more = {}) => ({
  ...strong(ms, 1000 + i, more),
  netns: 100_000 + i,
});
const MOST_OF_CAUSE = 500;
const HOUR_MS = 3_600_000;
const sum = () => told().reduce((all, { count }) => all + count, 0);

test('of more services than are told of apart one finding tells, and all are counted', () => {
  const services = 5000;
  for (let i = 0; i < services; i++) take(alone(i, i));
  engine.finish();
  expect(told()).toHaveLength(MOST_OF_CAUSE + 1);
  expect(sum()).toBe(services);
  const together = told().find(({ many }) => many !== undefined);
  expect(together?.count).toBe(services - MOST_OF_CAUSE);
  expect(together?.many?.ports).toBe(services - MOST_OF_CAUSE);
  expect(engine.takeMerged()).toBe(services - MOST_OF_CAUSE);
});

test('after months a service that fails has a finding of its own: those that are long over give up theirs', () => {
  const services = 2000;
  for (let i = 0; i < services; i++) {
    take(alone(i * HOUR_MS, i));
    engine.advance(i * HOUR_MS * MS + 1e9);
    const own = [...engine.findings.values()].find(
      ({ finding }) => finding.flow.sport === 1000 + i,
    );
    expect(own?.many).toBeNull();
  }
  engine.finish();
  expect(sum()).toBe(services);
  expect(told().length).toBeLessThanOrEqual(MOST_OF_CAUSE);
  expect(engine.takeMerged()).toBe(0);
  const { ports = 0 } = told().find(({ many }) => many !== undefined)?.many ?? {};
  expect(ports).toBe(services - told().length + 1);
  // One of those that are long over is told of with the others.
  take(alone(services * HOUR_MS, 0));
  engine.finish();
  expect(sum()).toBe(services + 1);
});

test('a finding of many weighs as much as what weighs most in it', () => {
  const heavy = CAUSES.map((cause) => ({
    ...cause,
    match(event: Parameters<typeof cause.match>[0], known: Parameters<typeof cause.match>[1]) {
      const match = cause.match(event, known);
      const severity = event.cpu === 9 ? ('error' as const) : ('info' as const);
      return match && { ...match, severity };
    },
  }));
  engine = new Engine(heavy, new HostKnowledge(headerWith(HEADER)), new WallClock(headerWith()));
  for (let i = 0; i <= MANY; i++) take(strong(i, 1000 + i));
  take(strong(100, 3000, { cpu: 9 }));
  engine.finish();
  const [only] = engine.findings.values();
  expect([only?.finding.count, only?.finding.severity]).toEqual([MANY + 2, 'error']);
});

test('a service that fails long after a scan of its host has a finding of its own', () => {
  for (let i = 0; i <= MANY; i++) take(strong(i, 1000 + i));
  take(strong(500_000, 3000));
  expect(told().map(({ count }) => count)).toEqual([MANY + 2]);
  take(strong(2_000_000, 3000), strong(2_000_001, 4000));
  expect(told().map(({ count }) => count)).toEqual([MANY + 2, 1, 1]);
  for (let i = 0; i < MANY; i++) take(strong(2_000_100 + i, 5000 + i));
  engine.finish();
  expect(told().map(({ count, many }) => [count, many?.ports])).toEqual([
    [2 * MANY + 4, 2 * MANY + 3],
  ]);
});
