// SPDX-License-Identifier: Apache-2.0

import { beforeEach, expect, test } from 'vitest';
import { FailedConnects } from '../../../src/known/failed-connects.ts';
import { eventFromJson } from '../../../src/wire/decode.ts';
import type { Event } from '../../../src/wire/event.ts';
import type { Json } from '../causes/fixture.ts';

const MS = 1e6;
const ADDRESS = Buffer.from([...Array(10).fill(0), 255, 255, 10, 0, 0, 1]).toString('base64');

let connects: FailedConnects;
beforeEach(() => {
  connects = new FailedConnects();
});

function sock(sport: number, dport: number, state: number, pid: number): Json {
  const flow = { saddr: ADDRESS, daddr: ADDRESS, sport, dport };
  return { flow, state, owner: { pid, comm: '', cgroup: 0 } };
}

function take(ms: number, body: Json, more: Json = {}): Event {
  const event = eventFromJson({
    ktime_ns: String(ms * MS),
    netns: 1,
    key: '0',
    occurrences: 1,
    ...body,
    ...more,
  });
  connects.learn(event);
  return event;
}

const refused = (ms: number, sport: number, pid = 5, more: Json = {}) =>
  take(ms, { reset_received: { sock: sock(sport, 8080, 2, pid) } }, more);
const aborts = (ms: number, dport: number, pid = 5, more: Json = {}) =>
  take(ms, { reset_sent: { reason: 1, sock: sock(15006, dport, 7, pid) } }, more);
const closes = (ms: number, dport: number, pid = 5) =>
  take(ms, {
    state_change: { old_state: 1, new_state: 4, sock: sock(15006, dport, 1, pid) },
  });
const answers = (ms: number, sport: number) =>
  take(ms, {
    reset_sent: { reason: 1, packet: { flow: { ...(sock(sport, 15006, 6, 0).flow as Json) } } },
  });
const upstreamPort = (event: Event) => connects.because(event)?.flow.sport ?? null;

test('a reset is because of the connect of the same process that failed just before', () => {
  refused(0, 40_001);
  expect(upstreamPort(aborts(499, 50_000))).toBe(40_001);
});

test('a connect that failed long before, of another process or in another namespace is no reason', () => {
  refused(0, 40_001);
  refused(600, 40_002, 6);
  refused(600, 40_003, 5, { netns: 2 });
  expect(upstreamPort(aborts(601, 50_000))).toBeNull();
});

test('each failed connect explains one reset, the newest first', () => {
  refused(0, 40_001);
  refused(1, 40_002);
  expect([2, 3, 4].map((ms) => upstreamPort(aborts(ms, 50_000 + ms)))).toEqual([
    40_002,
    40_001,
    null,
  ]);
});

test('one that stands for more than itself explains as many', () => {
  refused(0, 40_001, 5, { occurrences: 3 });
  expect(upstreamPort(aborts(1, 50_000, 5, { occurrences: 2 }))).toBe(40_001);
  expect(upstreamPort(aborts(2, 50_001))).toBe(40_001);
  expect(upstreamPort(aborts(3, 50_002))).toBeNull();
});

test('what comes after an ordinary close has the reason that the close had', () => {
  refused(0, 40_001);
  closes(1, 50_000);
  expect(upstreamPort(answers(2000, 50_001))).toBeNull();
  expect(upstreamPort(answers(2000, 50_000))).toBe(40_001);
});

test('a connect that the process gave up has failed too', () => {
  take(0, { state_change: { old_state: 2, new_state: 7, sock: sock(40_001, 8080, 7, 5) } });
  const event = aborts(1, 50_000);
  expect(connects.because(event)).toMatchObject({ err: 0, flow: { sport: 40_001 } });
});

/** A connection of the proxy that was open, to port 8080. */
const wasReset = (ms: number, sport: number, body: Json = {}, pid = 5, state = 1) =>
  take(ms, { reset_received: { sock: sock(sport, 8080, state, pid), ...body } });

test('a reset is because of a connection in use that was reset just before, once', () => {
  wasReset(0, 40_001);
  expect(upstreamPort(aborts(100, 50_000))).toBe(40_001);
  expect(upstreamPort(aborts(100, 50_001))).toBeNull();
  // It still gets an answer.
  wasReset(200, 40_002, { answered: 1, silent_ms: 500 });
  expect(connects.because(aborts(201, 50_002))).toMatchObject({ was_open: true, one_of: [] });
});

test('one that was idle, unused, accepted or closed, of another process, or reset long before is no reason', () => {
  wasReset(0, 40_001, { answered: 1, silent_ms: 501 });
  wasReset(0, 40_002, { unused: 1 });
  wasReset(0, 40_003, {}, 6);
  wasReset(0, 40_004, {}, 5, 8);
  take(0, {
    reset_received: { sock: { ...(sock(40_005, 8080, 1, 5) as object), flow: accepted(40_005) } },
  });
  expect(upstreamPort(aborts(1, 50_000))).toBeNull();
  wasReset(10, 40_006);
  expect(upstreamPort(aborts(111, 50_001))).toBeNull();
});

test('of several it is one of them; a connect that failed goes before', () => {
  wasReset(0, 40_001);
  wasReset(1, 40_002);
  const { one_of } = connects.because(aborts(2, 50_000)) ?? {};
  expect(one_of?.map(({ sport }) => sport)).toEqual([40_002, 40_001]);
  refused(3, 40_003);
  expect(connects.because(aborts(4, 50_001))).toMatchObject({
    ...{ was_open: false, one_of: [], flow: { sport: 40_003 } },
  });
});

/** The client's end is the other one. */
function accepted(dport: number): Json {
  return { saddr: ADDRESS, daddr: ADDRESS, sport: 8080, dport, service: 1 };
}
