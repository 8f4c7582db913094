// SPDX-License-Identifier: Apache-2.0

import { beforeEach, describe, expect, test } from 'vitest';
import { Engine } from '../../../src/diagnose/engine.ts';
import { WallClock } from '../../../src/known/clock.ts';
import { HostKnowledge } from '../../../src/known/host-knowledge.ts';
import type { Knowledge } from '../../../src/known/knowledge.ts';
import { eventFromJson } from '../../../src/wire/decode.ts';
import type { Event } from '../../../src/wire/event.ts';
import { headerWith, type Json } from '../causes/fixture.ts';
import { answerEvent, CAUSES, HEADER, MS, packetEvent, REASON } from './events.ts';

let engine: Engine;
let seq: number;

beforeEach(() => {
  engine = new Engine(CAUSES, new HostKnowledge(headerWith(HEADER)), new WallClock(headerWith()));
  seq = 0;
});

/** Takes events as the pipeline does: time goes on, then the event. */
function take(...events: Json[]): void {
  for (const event of events.map(eventFromJson)) {
    engine.advance(event.ktime_ns);
    engine.accept(event, ++seq);
  }
}

/** Counts by cause, without those that were withdrawn. */
function counts(): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { finding } of engine.findings.values()) {
    if (finding.count !== 0) sums[finding.cause] = (sums[finding.cause] ?? 0) + finding.count;
  }
  return sums;
}

const weak = (ms: number, more = {}) =>
  packetEvent('reset_sent', { ms, reason: REASON.weak, ...more });
const strong = (ms: number, more = {}) => answerEvent({ ms, reason: REASON.strong, ...more });

describe('a cause that says more', () => {
  test('takes over what came before it', () => {
    take(weak(0), strong(1));
    engine.finish();
    expect(counts()).toEqual({ strong: 1 });
  });

  test('takes over what comes after it', () => {
    take(strong(0), weak(1));
    engine.finish();
    expect(counts()).toEqual({ strong: 1 });
  });

  test('takes back what was shown', () => {
    take(weak(0));
    engine.advance(400 * MS);
    expect(counts()).toEqual({ weak: 1 });
    take(strong(1000));
    engine.finish();
    expect(counts()).toEqual({ strong: 1 });
  });

  test('takes back as many as were counted', () => {
    take(weak(0, { occurrences: 5 }), weak(1, { sport: 40_001 }));
    engine.advance(400 * MS);
    take(strong(1000));
    engine.finish();
    expect(counts()).toEqual({ weak: 1, strong: 1 });
  });

  test('is another failure after two seconds', () => {
    take(weak(0), strong(2001));
    engine.finish();
    expect(counts()).toEqual({ weak: 1, strong: 1 });
  });

  test('is another failure on another connection', () => {
    take(weak(0), strong(1, { sport: 40_001 }));
    engine.finish();
    expect(counts()).toEqual({ weak: 1, strong: 1 });
  });

  test('is another failure on another connection, whichever comes first', () => {
    take(strong(0, { sport: 40_001 }), weak(1));
    engine.finish();
    expect(counts()).toEqual({ weak: 1, strong: 1 });
  });

  test('stands for the same service where records are missing', () => {
    take(strong(0, { sport: 40_001 }), weak(1, { occurrences: 7 }));
    engine.finish();
    expect(counts()).toEqual({ strong: 1 });
  });
});

describe('what may still be taken over', () => {
  test('is held for 300 ms', () => {
    take(weak(0));
    engine.advance(300 * MS);
    expect(engine.takeChanged()).toEqual([]);
    engine.advance(301 * MS);
    expect(engine.takeChanged().map(({ cause }) => cause)).toEqual(['weak']);
  });

  test('is shown at the end', () => {
    take(weak(0));
    engine.finish();
    expect(engine.takeChanged().map(({ cause }) => cause)).toEqual(['weak']);
    expect(engine.takeChanged()).toEqual([]);
  });

  test('is not what nothing takes over', () => {
    take(strong(0));
    expect(engine.takeChanged().map(({ cause }) => cause)).toEqual(['strong']);
  });
});

describe('a drop of a packet that was answered', () => {
  test('is the same failure', () => {
    take(weak(0), packetEvent('drop', { ms: 1 }));
    engine.finish();
    expect(counts()).toEqual({ weak: 1 });
    expect(engine.unexplained).toBe(0);
  });

  test('is another failure 200 ms later, when it is sent again', () => {
    take(weak(0), packetEvent('drop', { ms: 200 }));
    engine.finish();
    expect(counts()).toEqual({ weak: 1, unexplained: 1 });
  });

  test('is another failure where it is another packet', () => {
    take(weak(0), packetEvent('drop', { ms: 1, seq: 2 }));
    engine.finish();
    expect(counts()).toEqual({ weak: 1, unexplained: 1 });
  });

  test('says why where the answer did not', () => {
    take(
      packetEvent('syn_received', { ms: 0 }),
      packetEvent('drop', { ms: 1, reason: REASON.strong }),
    );
    engine.finish();
    expect(counts()).toEqual({ strong: 1 });
    expect(engine.unexplained).toBe(0);
  });

  test('is the same failure also where the answer was not sampled', () => {
    take(weak(0), packetEvent('drop', { ms: 1, key: '9' }));
    take(packetEvent('drop', { ms: 2, key: '9', seq: 2 }));
    engine.finish();
    expect(counts()).toEqual({ weak: 1 });
  });

  test('adds nothing by its totals either', () => {
    take(weak(0), packetEvent('drop', { ms: 1, key: '9' }));
    engine.total('9', 50);
    engine.finish();
    expect(counts()).toEqual({ weak: 1 });
  });
});

describe('sampled occurrences', () => {
  test('count as many as the record stands for', () => {
    take(strong(0, { key: '7', occurrences: 40 }), strong(1, { key: '7', occurrences: 2 }));
    expect(counts()).toEqual({ strong: 42 });
  });

  test('go by totals where the last record of their key went', () => {
    take(strong(0, { key: '7' }), strong(1, { key: '8', dport: 81 }));
    engine.total('7', 100);
    engine.total('7', 100);
    engine.total('8', 1);
    expect([...engine.findings.values()].map(({ finding }) => finding.count)).toEqual([100, 1]);
    take(strong(2, { key: '7', occurrences: 99 }));
    expect(counts()).toEqual({ strong: 101 });
  });

  test('go by totals into what is still held', () => {
    take(weak(0, { key: '7' }));
    engine.total('7', 10);
    engine.finish();
    expect(counts()).toEqual({ weak: 10 });
  });

  test('are gone with what was taken over', () => {
    take(weak(0, { key: '7' }), strong(1, { key: '8' }));
    engine.total('7', 10);
    engine.total('8', 10);
    engine.finish();
    expect(counts()).toEqual({ strong: 10 });
  });

  test('are gone also with what was shown before it was taken over', () => {
    take(weak(0, { key: '7' }));
    engine.advance(400 * MS);
    take(strong(1000, { key: '8' }));
    engine.total('7', 10);
    engine.total('8', 10);
    engine.finish();
    expect(counts()).toEqual({ strong: 10 });
  });

  test('are told where they are many more than what would say more, in whichever order totals come', () => {
    const others = Array.from({ length: 5 }, (_, i) =>
      weak(10 + i, { key: '7', sport: 50_000 + i, occurrences: 100 }),
    );
    take(
      strong(0, { key: '8' }),
      strong(5, { key: '8', sport: 40_001, occurrences: 22 }),
      ...others,
    );
    engine.total('7', 1000);
    engine.total('8', 23);
    engine.totalled();
    expect(counts()).toEqual({ strong: 23, weak: 1000 - 2 * 23 });
    engine.total('7', 1500);
    engine.finish();
    expect(counts()).toEqual({ strong: 23, weak: 1500 - 2 * 23 });
  });

  test('are the other end again after a flood of their own', () => {
    take(strong(0, { key: '8', occurrences: 2 }), weak(10, { key: '7', sport: 50_000 }));
    engine.total('8', 10);
    engine.total('7', 1000);
    engine.totalled();
    expect(counts()).toEqual({ strong: 10, weak: 1000 - 2 * 10 });
    engine.total('8', 110);
    engine.total('7', 1100);
    engine.finish();
    expect(counts()).toEqual({ strong: 110, weak: 1000 - 2 * 10 });
  });

  test('are the other end of many keys, each of which happened once', () => {
    for (let i = 0; i < 100; i++) take(strong(i, { key: String(100 + i), sport: 41_000 + i }));
    take(weak(100, { key: '7', sport: 50_000, occurrences: 100 }));
    engine.total('7', 100);
    engine.finish();
    expect(counts()).toEqual({ strong: 100 });
  });

  test('are the other end of what is counted with the next totals', () => {
    take(strong(0, { key: '8', occurrences: 2 }), weak(10, { key: '7', sport: 50_000 }));
    engine.total('8', 10);
    engine.totalled();
    engine.total('7', 10);
    engine.finish();
    expect(counts()).toEqual({ strong: 10 });
  });

  test('count each where their table was full (key 0)', () => {
    take(strong(0, { occurrences: 3 }), strong(1, { occurrences: 3 }));
    engine.total('0', 1000);
    expect(counts()).toEqual({ strong: 6 });
  });
});

describe('what no cause explains', () => {
  test('is unexplained, with its reason', () => {
    take(packetEvent('drop', { ms: 0, occurrences: 3 }));
    engine.finish();
    expect(counts()).toEqual({ unexplained: 3 });
    expect(engine.unexplained).toBe(3);
    expect(engine.benign).toBe(0);
    const [open] = engine.findings.values();
    expect(open?.finding.summary).toMatch(/^segment dropped \(ODD\): \[A\] /);
  });

  test('is benign where the reason is ordinary', () => {
    take(packetEvent('drop', { ms: 0, reason: REASON.ordinary }));
    engine.finish();
    expect(counts()).toEqual({ benign: 1 });
    expect([engine.unexplained, engine.benign]).toEqual([0, 1]);
  });

  test('keeps the number of a reason that has no name', () => {
    take(packetEvent('drop', { ms: 0, reason: 77 }));
    engine.finish();
    expect([...engine.findings.values()][0]?.finding.summary).toMatch(/^segment dropped \(#77\): /);
  });
});

describe('a finding', () => {
  test('is one for a group, from first to last', () => {
    take(strong(5), strong(9, { sport: 40_001 }), strong(7, { dport: 81 }));
    const findings = [...engine.findings.values()].map(({ finding }) => finding);
    expect(findings.map(({ count, first_ns, last_ns }) => [count, first_ns, last_ns])).toEqual([
      [2, 5 * MS, 9 * MS],
      [1, 7 * MS, 7 * MS],
    ]);
    expect(findings[0]?.events).toEqual([1, 2]);
  });

  test('keeps its newest 20 events and 50 flows', () => {
    for (let i = 0; i < 60; i++) take(strong(i, { sport: 50_000 + i }));
    const [open] = engine.findings.values();
    expect(open?.finding.count).toBe(60);
    expect(open?.finding.events).toEqual(Array.from({ length: 20 }, (_, i) => 41 + i));
    expect(open?.flows.size).toBe(50);
    expect([...(open?.flows.keys() ?? [])][0]).toContain('50010');
  });

  test('stands for the rest of its cause where there is no room for more', () => {
    engine = new Engine(
      CAUSES,
      new HostKnowledge(headerWith(HEADER)),
      new WallClock(headerWith()),
      3,
    );
    for (let i = 0; i < 10; i++) take(strong(i, { dport: 1000 + i }));
    take(packetEvent('drop', { ms: 11 }), packetEvent('drop', { ms: 12 }));
    engine.finish();
    expect(counts()).toEqual({ strong: 10, unexplained: 2 });
    expect([...engine.findings.values()].map(({ finding }) => finding.count)).toEqual([
      1, 1, 1, 7, 2,
    ]);
    expect([engine.takeMerged(), engine.takeMerged()]).toEqual([9, 0]);
  });
});

test.each([
  [0, null],
  [7, { pid: 7, comm: 'nginx', container: null }],
])('of a process with the number %i it tells %j', (pid, told) => {
  const causes = CAUSES.map((cause) => ({
    ...cause,
    match(event: Event, known: Knowledge) {
      const match = cause.match(event, known);
      return match && { ...match, owner: { pid, comm: 'nginx', cgroup: '0' } };
    },
  }));
  engine = new Engine(causes, new HostKnowledge(headerWith(HEADER)), new WallClock(headerWith()));
  take(weak(0));
  engine.finish();
  expect([...engine.findings.values()].map(({ finding }) => finding.process)).toEqual([told]);
});
