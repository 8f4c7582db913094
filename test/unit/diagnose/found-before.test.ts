// SPDX-License-Identifier: Apache-2.0

import { queryObjects } from 'node:v8';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Cause } from '../../../src/causes/define.ts';
import { CAUSES as REAL } from '../../../src/causes/registry.gen.ts';
import { Engine } from '../../../src/diagnose/engine.ts';
import { FoundBefore } from '../../../src/diagnose/found-before.ts';
import type { Occurrence } from '../../../src/diagnose/open-finding.ts';
import { WallClock } from '../../../src/known/clock.ts';
import { Entry } from '../../../src/known/expiring-map.ts';
import { HostKnowledge } from '../../../src/known/host-knowledge.ts';
import { eventFromJson } from '../../../src/wire/decode.ts';
import { headerWith, type Json } from '../causes/fixture.ts';
import {
  answerEvent,
  CAUSES,
  HEADER,
  type Made,
  MS,
  mapped,
  packetEvent,
  REASON,
} from './events.ts';

/** How long what failed has gone on when it fails, as its evidence tells. */
const WAITED_MS = 60_000;

let engine: Engine;
let seq: number;

beforeEach(() => {
  const causes = CAUSES.map(
    (cause): Cause => (cause.id === 'strong' ? leading(cause) : late(cause)),
  );
  engine = new Engine(causes, new HostKnowledge(headerWith(HEADER)), new WallClock(headerWith()));
  seq = 0;
});

function leading(cause: Cause): Cause {
  return { ...cause, supersedes: [], leadsTo: ['weak'] };
}

function late(cause: Cause): Cause {
  const match: Cause['match'] = (event, known) => {
    const found = cause.match(event, known);
    return found && { ...found, began_ns: event.ktime_ns - WAITED_MS * MS };
  };
  return { ...cause, match };
}

function take(...events: Json[]): void {
  for (const event of events.map(eventFromJson)) {
    engine.advance(event.ktime_ns);
    engine.accept(event, ++seq);
  }
  engine.finish();
}

/** Of what came of it: why, how serious and how often, in the order in which it was found. */
function told() {
  return [...engine.findings.values()]
    .filter(({ finding }) => finding.cause === 'weak')
    .map(({ finding: { because, severity, count } }) => ({
      because: because && `${because.cause} at ${because.where}`,
      severity,
      count,
    }));
}

const refused = (made: Made) => answerEvent({ reason: REASON.strong, ...made });
const gaveUp = (made: Made) => packetEvent('reset_sent', { reason: REASON.weak, ...made });
const BECAUSE = { because: 'strong at 10.0.0.1', severity: 'info' };

describe('what comes of another failure', () => {
  test('names it, long after, and asks for no attention of its own', () => {
    take(refused({ ms: 1000 }), gaveUp({ ms: 61_000 }));
    expect(told()).toEqual([{ ...BECAUSE, count: 1 }]);
    const [finding] = engine.takeChanged().filter(({ cause }) => cause === 'weak');
    expect(finding?.summary).toBe('weak, because of strong at 10.0.0.1');
    expect(finding?.advice).toEqual([
      'strong at 10.0.0.1 is why: do what its own finding says, and this one ends too',
    ]);
  });

  test('takes nothing from it', () => {
    take(refused({ ms: 1000 }), refused({ ms: 2000 }), gaveUp({ ms: 61_000 }));
    const strong = engine.takeChanged().find(({ cause }) => cause === 'strong');
    expect(strong).toMatchObject({ count: 2, severity: 'warning', because: null });
  });

  test('is apart from what has no reason', () => {
    take(refused({ ms: 1000 }), gaveUp({ ms: 61_000 }), gaveUp({ ms: 61_001, sport: 40_001 }));
    expect(told()).toEqual([
      { ...BECAUSE, count: 1 },
      { because: null, severity: 'warning', count: 1 },
    ]);
  });

  test('began before it: an older one on the same ports is not why', () => {
    take(refused({ ms: 1000 }), gaveUp({ ms: 61_003 }));
    expect(told()).toEqual([{ because: null, severity: 'warning', count: 1 }]);
  });

  test('where records are missing, the same service stands for the connection', () => {
    take(refused({ ms: 1000, key: '7', occurrences: 9 }), gaveUp({ ms: 61_000, sport: 40_001 }));
    expect(told()).toEqual([{ ...BECAUSE, count: 1 }]);
  });
});

describe('what a connection dies of', () => {
  test('weighs as much as that, though it is only information elsewhere', () => {
    const light = CAUSES.map(
      (cause): Cause =>
        cause.id === 'strong' ? { ...leading(cause), severity: 'info' } : late(cause),
    );
    engine = new Engine(light, new HostKnowledge(headerWith(HEADER)), new WallClock(headerWith()));
    take(refused({ ms: 1000 }), refused({ ms: 2000, sport: 40_001 }));
    const severity = () =>
      [...engine.findings.values()].find(({ finding }) => finding.cause === 'strong')?.finding
        .severity;
    expect(severity()).toBe('info');
    take(gaveUp({ ms: 61_000 }));
    expect(told()).toEqual([{ ...BECAUSE, count: 1 }]);
    expect(severity()).toBe('warning');
  });

  test('where nothing explains its drops they weigh as much', () => {
    take(packetEvent('drop', { ms: 1000 }));
    const [unexplained] = [...engine.findings.values()];
    expect(unexplained?.finding).toMatchObject({ cause: 'unexplained', severity: 'info' });
    take(gaveUp({ ms: 61_000 }));
    expect(unexplained?.finding.severity).toBe('warning');
    expect(told()).toEqual([{ because: null, severity: 'warning', count: 1 }]);
  });
});

describe('what is remembered', () => {
  const [weak, strong] = CAUSES.map((cause) => (cause.id === 'strong' ? leading(cause) : cause));
  const event = eventFromJson(refused({ ms: 1 }));
  if (!weak || !strong) throw new Error('no causes');
  const known = new HostKnowledge(headerWith(HEADER));
  const found = strong.match(event, known);
  if (!found) throw new Error('not refused');
  const about = (cause: Cause, sport: number, host = '10.0.0.2', ms = 1): Occurrence => {
    const match = { ...found, flow: { ...found.flow, sport, saddr: host } };
    const far = { ...event, ktime_ns: ms * MS, body: {} } as typeof event;
    const reset = { sent_by: null, came_from: null };
    const rest = { seq: 1, count: 1, by: null, because: null, finding: null };
    return { cause, match, event: far, reset, ...rest };
  };

  test('are 20 000 connections: the oldest goes first', () => {
    const before = new FoundBefore([weak, strong], () => false);
    before.add(about(strong, 1, '10.0.0.3'));
    for (let sport = 0; sport < 20_000; sport++) before.add(about(strong, sport));
    expect(before.cameOf.because(about(weak, 1, '10.0.0.3'))).toBeNull();
    expect(before.cameOf.because(about(weak, 0))?.common.where).toBe('10.0.0.1');
  });

  test('has once what many have in common', () => {
    const before = new FoundBefore([weak, strong], () => false);
    for (let sport = 0; sport < 10; sport++) before.add(about(strong, sport));
    const common = Array.from({ length: 10 }, (_, sport) =>
      before.cameOf.because(about(weak, sport)),
    );
    expect(new Set(common.map((one) => one?.common)).size).toBe(1);
  });

  test('is the first and the newest of what is found again and again on the same ports', () => {
    const more = CAUSES.find(({ id }) => id === 'strong') ?? strong;
    const heldOf = (cause: Cause) => {
      const before = new FoundBefore([weak, strong], () => false);
      for (let round = 0; round < 6; round++)
        before.add(about(cause, 1, '10.0.0.2', 1 + 6000 * round));
      const one = before.cameOf.because(about(weak, 1, '10.0.0.2', 60_000));
      if (!one) throw new Error('not found');
      const held = queryObjects(one.constructor as () => void, { format: 'count' });
      return { held, of: before };
    };
    const first = heldOf(more);
    const leading = heldOf(strong);
    expect(leading.held - first.held).toBe(6);
    const again = heldOf(more);
    expect(again.held - leading.held).toBe(2);
    expect([first.of, leading.of, again.of]).toHaveLength(3);
  });

  test('is of the ends of what only says more than others no longer than that is whole', () => {
    const entries = () => queryObjects(Entry, { format: 'count' });
    const more = CAUSES.find(({ id }) => id === 'strong') ?? strong;
    expect(more.supersedes).toEqual(['weak']);
    const before = new FoundBefore([weak, more], () => false);
    const at_first = entries();
    for (let sport = 0; sport < 100; sport++) before.add(about(more, sport));
    // A connection and an end of its own each, and the end that all have.
    expect(entries() - at_first).toBe(100 + 100 + 1);
    before.add(about(more, 100, '10.0.0.2', 6000));
    expect(entries() - at_first).toBe(101 + 1 + 1);
  });
});

describe('a reset that one end got, and one that it sent', () => {
  const flow = { saddr: mapped('10.0.0.1'), daddr: mapped('10.0.0.2'), sport: 80, dport: 40_000 };
  const toThem = { saddr: flow.daddr, daddr: flow.saddr, sport: 40_000, dport: 80 };
  const got = (ms: number) => ({
    ktime_ns: String(ms * MS),
    netns: 1,
    occurrences: 1,
    reset_received: { sock: { flow, state: 1, owner: {} }, packet: { flow: toThem, flags: 4 } },
  });
  const sent = (ms: number) => ({
    ktime_ns: String(ms * MS),
    netns: 1,
    occurrences: 1,
    reset_sent: { reason: 1, packet: { flow: toThem, flags: 24, payload_len: 1 } },
  });
  const gotThere = (ms: number) => ({
    ktime_ns: String(ms * MS),
    netns: 2,
    occurrences: 1,
    reset_received: { sock: { flow: toThem, state: 1, owner: {} }, packet: { flow, flags: 4 } },
  });
  const found = (...events: Json[]) => {
    engine = new Engine(REAL, new HostKnowledge(headerWith(HEADER)), new WallClock(headerWith()));
    take(...events);
    return [...engine.findings.values()]
      .filter(({ finding }) => finding.count > 0)
      .map(({ finding: { cause, because } }) => [cause, because?.cause ?? null]);
  };

  test('are two failures: what is sent after the first comes of it', () => {
    expect(found(got(1), sent(200))).toEqual([
      ['reset-by-peer', null],
      ['connection-unknown', 'reset-by-peer'],
    ]);
  });

  test('are one where the other end got what this one sent', () => {
    expect(found(sent(1), gotThere(2))).toEqual([['connection-unknown', null]]);
    expect(found(got(1), sent(200), gotThere(201))).toEqual([
      ['reset-by-peer', null],
      ['connection-unknown', 'reset-by-peer'],
    ]);
  });

  test('stay apart where what was sent came first', () => {
    expect(found(sent(1), got(200))).toEqual([
      ['connection-unknown', null],
      ['reset-by-peer', null],
    ]);
  });
});
