// SPDX-License-Identifier: Apache-2.0

import { beforeEach, expect, test } from 'vitest';
import { OtherEnds } from '../../../src/known/other-ends.ts';
import { eventFromJson } from '../../../src/wire/decode.ts';
import type { Event } from '../../../src/wire/event.ts';
import type { Json } from '../causes/fixture.ts';
import { MS, mapped } from '../diagnose/events.ts';

let ends: OtherEnds;
beforeEach(() => {
  ends = new OtherEnds();
});

const APP = '10.0.0.1';
const DIALLED = '10.9.0.9';
const PROXY = '127.0.0.1';
const OWNER = { pid: 5, comm: '', cgroup: 0 };
const NUMBERS = { seq: 7000, ack: 9000 };

function flow(saddr: string, sport: number, daddr: string, dport: number): Json {
  return { saddr: mapped(saddr), sport, daddr: mapped(daddr), dport };
}

function take(ms: number, body: Json): Event {
  const event = eventFromJson({ ktime_ns: String(ms * MS), netns: 1, key: '0', ...body });
  ends.learn(event);
  return event;
}

/** The application has what it dialled for its peer. */
const received = (ms: number, { seq, ack } = NUMBERS, daddr = DIALLED, dport = 443) =>
  take(ms, {
    reset_received: {
      sock: {
        flow: flow(APP, 40_000, daddr, dport),
        ...{ owner: OWNER, state: 1, rcv_nxt: seq, snd_nxt: ack },
      },
    },
  });
const sent = (ms: number, { seq, ack } = NUMBERS) =>
  take(ms, {
    reset_sent: {
      reason: 1,
      sock: {
        flow: flow(PROXY, 15_001, APP, 40_000),
        ...{ owner: OWNER, state: 7, snd_nxt: seq, rcv_nxt: ack },
      },
    },
  });
/** It sent 10 bytes and a FIN to what has no socket any more. */
const answered = (ms: number, { seq, ack } = NUMBERS) =>
  take(ms, {
    reset_sent: {
      reason: 1,
      packet: {
        flow: flow(APP, 40_000, PROXY, 15_001),
        ...{ flags: 0x11, seq: ack - 11, payload_len: 10, ack_seq: seq },
      },
    },
  });

test('a reset between two ends that see each other by other addresses is one, whichever end is told of first', () => {
  const there = received(0);
  const here = sent(1);
  expect(ends.of(here)).toBe(there);
  expect(ends.of(there)).toBe(here);
  const answer = answered(5000);
  expect(ends.of(received(5001))).toBe(answer);
});

test('a reset between two ends that see each other as they are needs no other name', () => {
  const there = received(0, NUMBERS, PROXY, 15_001);
  expect(ends.of(sent(1))).toBeNull();
  expect(ends.of(there)).toBeNull();
});

test('a reset with other numbers, or of long before, is another one', () => {
  received(0, { ...NUMBERS, seq: NUMBERS.seq + 1 });
  received(0, { ...NUMBERS, ack: NUMBERS.ack + 1 });
  expect(ends.of(sent(1))).toBeNull();
  received(0);
  expect(ends.of(sent(2001))).toBeNull();
});

test('what refused a connect has no numbers of a connection', () => {
  const numbers = { seq: 0, ack: 9000 };
  received(0, numbers);
  expect(ends.of(answered(1, numbers))).toBeNull();
});
