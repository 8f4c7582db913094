// SPDX-License-Identifier: Apache-2.0

import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import { until } from '../../src/lab/until.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { LiveSource } from '../../src/source/live.ts';
import { decodeEvent } from '../../src/wire/decode.ts';
import type { Event } from '../../src/wire/event.ts';
import { FrameReader } from '../../src/wire/frames.ts';

/** Longer than the test takes. */
const RESTS_MS = 600_000;
const LOOK_MS = 100;

/** What is told by one call. */
function told(source: LiveSource, last = false): Event[] {
  const frames = [...new FrameReader().push(source.tick(last))];
  return frames.flatMap(({ bytes }) => decodeEvent(bytes) ?? []);
}

const kinds = (events: readonly Event[]) => events.map(({ kind }) => kind);
const resets = (events: readonly Event[]) =>
  events.flatMap((event) => (event.kind === 'reset_sent' ? [event] : []));

function refuse(lab: Lab, port: number): void {
  using socket = lab.socket(lab.client, { family: 4 });
  const isRefused = () => socket.connect(HOSTS[4].server, port).error === 'ECONNREFUSED';
  until('a connect to be refused', isRefused);
}

function opened(lab: Lab, rests_ms: number): LiveSource {
  const filter = { groups: [], netns: lab.server.inode };
  const source = LiveSource.open({ filter, records_per_s: 100, tier: 'hooks', rests_ms });
  source.begin();
  return source;
}

test('while nothing comes nothing is told but a tick at times, and what comes then at once', async () => {
  using lab = Lab.open();
  const source = opened(lab, 0);
  try {
    while (told(source).length > 0) await pause(LOOK_MS);
    let ticks: Event[] = [];
    for (; ticks.length === 0; ticks = told(source)) await pause(LOOK_MS);
    expect(kinds(ticks)).toEqual(['tick']);
    refuse(lab, 81);
    const came = told(source);
    expect(resets(came)).toHaveLength(1);
    expect(kinds(came).at(-1)).toBe('tick');
    // What is held for others that might come waits for ticks.
    const next = told(source);
    expect(resets(next)).toEqual([]);
    expect(kinds(next).at(-1)).toBe('tick');
  } finally {
    source.close();
  }
}, 30_000);

test('where nobody looks on what little comes is told together, in order, and nothing is left at the end', () => {
  using lab = Lab.open();
  const source = opened(lab, RESTS_MS);
  try {
    told(source, true);
    for (const port of [81, 82]) {
      refuse(lab, port);
      expect(told(source)).toEqual([]);
    }
    const events = told(source, true);
    const sent = resets(events);
    expect(sent.map(({ body }) => body.packet?.flow.dport)).toEqual([81, 82]);
    const [tick] = events.slice(-1);
    expect(tick?.kind).toBe('tick');
    expect(sent.every(({ ktime_ns }) => ktime_ns <= (tick?.ktime_ns ?? 0))).toBe(true);
  } finally {
    source.close();
  }
});

test('where much comes it is told although it rests', () => {
  using lab = Lab.open();
  const source = opened(lab, RESTS_MS);
  try {
    told(source, true);
    for (let port = 1; port <= 300; port++) refuse(lab, port);
    const events = told(source);
    expect(resets(events)).toHaveLength(300);
    expect(kinds(events).at(-1)).toBe('tick');
  } finally {
    source.close();
  }
});
