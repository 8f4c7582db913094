// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { FINAL_NS } from '../../../src/diagnose/engine.ts';
import type { Occurrence } from '../../../src/diagnose/open-finding.ts';
import { Pipeline } from '../../../src/diagnose/pipeline.ts';
import { verdictsOf } from '../../../src/diagnose/verdict.ts';
import { headerWith, type Json, streamOf } from '../causes/fixture.ts';
import { answerEvent, CAUSES, HEADER, MS, packetEvent, REASON, tick } from './events.ts';

/** Causes of each event, in order, when all is over. */
function verdicts(events: Json[]): string[][] {
  const seen: (readonly Occurrence[])[] = [];
  const pipeline = new Pipeline(headerWith(HEADER), CAUSES, (_event, _seq, _time, occurrences) => {
    seen.push(occurrences);
  });
  pipeline.push(streamOf(events));
  pipeline.finish();
  return seen.map((occurrences) => verdictsOf(occurrences).map(({ cause }) => cause));
}

const weak = (ms: number, more = {}) =>
  packetEvent('reset_sent', { ms, reason: REASON.weak, ...more });
const strong = (ms: number) => answerEvent({ ms, reason: REASON.strong });

test('an event says what it is an occurrence of', () => {
  expect(verdicts([weak(1, { sport: 1 }), packetEvent('drop', { ms: 2 }), tick(3)])).toEqual([
    ['weak'],
    ['unexplained'],
  ]);
});

test('one that was taken over says what the one that took it over says', () => {
  expect(verdicts([strong(1), weak(2), tick(3)])).toEqual([['strong'], ['strong']]);
  expect(verdicts([weak(1), strong(2), tick(3)])).toEqual([['strong'], ['strong']]);
});

test('what took it over may come as late as FINAL_NS', () => {
  const late = FINAL_NS / MS - 301;
  expect(verdicts([weak(1), tick(400), strong(late), tick(late + 1)])).toEqual([
    ['strong'],
    ['strong'],
  ]);
});

test('a packet that was answered and then dropped is one failure', () => {
  expect(verdicts([weak(1), packetEvent('drop', { ms: 2 }), tick(3)])).toEqual([
    ['weak'],
    ['weak'],
  ]);
});

test('a drop that says more than the answer before it speaks for both', () => {
  const answer = packetEvent('reset_sent', { ms: 1 });
  const drop = packetEvent('drop', { ms: 2, reason: REASON.strong });
  expect(verdicts([answer, drop, tick(3)])).toEqual([['strong'], ['strong']]);
});
