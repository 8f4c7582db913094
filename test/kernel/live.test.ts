// SPDX-License-Identifier: Apache-2.0

import { spawn } from 'node:child_process';
import { closeSync, writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import { until } from '../../src/lab/until.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { pipe } from '../../src/native/binding.ts';
import { LiveSource } from '../../src/source/live.ts';
import { decodeEvent } from '../../src/wire/decode.ts';
import type { Event } from '../../src/wire/event.ts';
import { FrameReader } from '../../src/wire/frames.ts';

/** Longer than the test takes. */
const RESTS_MS = 600_000;
const LOOK_MS = 100;
const PATIENCE_MS = 60_000;
/** Of each CPU: a fraction of what a storm here writes, and room for what comes while it is drained. */
const RING_BYTES = 512 << 10;
const STORM = 5000;

/** What is told by one call. */
function told(source: LiveSource, last = false): Event[] {
  return eventsIn(source.tick(last));
}

function eventsIn(bytes: Uint8Array): Event[] {
  const frames = [...new FrameReader().push(bytes)];
  return frames.flatMap((frame) => decodeEvent(frame.bytes) ?? []);
}

const sum = (counts: readonly number[]) => counts.reduce((all, one) => all + one, 0);
const kinds = (events: readonly Event[]) => events.map(({ kind }) => kind);
const resets = (events: readonly Event[]) =>
  events.flatMap((event) => (event.kind === 'reset_sent' ? [event] : []));

function refuse(lab: Lab, port: number): void {
  using socket = lab.socket(lab.client, { family: 4 });
  const isRefused = () => socket.connect(HOSTS[4].server, port).error === 'ECONNREFUSED';
  until('a connect to be refused', isRefused);
}

function opened(lab: Lab, rests_ms: number, sampling: object = {}): LiveSource {
  const filter = { groups: [], netns: lab.server.inode };
  const options = { filter, records_per_s: 100, tier: 'hooks', rests_ms, ...sampling } as const;
  const source = LiveSource.open(options);
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
    refuse(lab, 2081);
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
    for (const port of [2081, 2082]) {
      refuse(lab, port);
      expect(told(source)).toEqual([]);
    }
    const events = told(source, true);
    const sent = resets(events);
    expect(sent.map(({ body }) => body.packet?.flow.dport)).toEqual([2081, 2082]);
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
    for (let port = 1001; port <= 1300; port++) refuse(lab, port);
    const events = told(source);
    expect(resets(events)).toHaveLength(300);
    expect(kinds(events).at(-1)).toBe('tick');
  } finally {
    source.close();
  }
});

test('while nobody asks it is looked at what comes, and the next tick tells it as if it had been asked', () => {
  using lab = Lab.open();
  const source = opened(lab, RESTS_MS);
  const { from, to } = pipe();
  try {
    told(source, true);
    told(source);
    refuse(lab, 2081);
    expect(source.untilAsked(from, 0)).toBe('over');
    expect(told(source)).toEqual([]);
    for (let port = 1001; port <= 1300; port++) refuse(lab, port);
    expect(source.untilAsked(from, 0)).toBe('over');
    const events = told(source);
    const ports = resets(events).map(({ body }) => body.packet?.flow.dport);
    expect(ports).toHaveLength(301);
    expect(ports[0]).toBe(2081);
    expect(kinds(events).at(-1)).toBe('tick');
    refuse(lab, 2082);
    writeSync(to, 'x');
    expect(source.untilAsked(from, PATIENCE_MS)).toBe('asked');
    expect(told(source)).toEqual([]);
    expect(resets(told(source, true))).toHaveLength(1);
  } finally {
    source.close();
    closeSync(from);
    closeSync(to);
  }
});

test('after the last tick of a file nothing is drained until the next file is asked for', () => {
  using lab = Lab.open();
  const source = opened(lab, RESTS_MS);
  const { from, to } = pipe();
  try {
    expect(source.untilAsked(from, 0)).toBe('asked');
    told(source);
    expect(source.untilAsked(from, 0)).toBe('over');
    told(source, true);
    expect(source.untilAsked(from, 0)).toBe('asked');
  } finally {
    source.close();
    closeSync(from);
    closeSync(to);
  }
});

test(
  'of a storm while nobody asks more is told than the buffers hold, and what is lost is counted',
  () => {
    using lab = Lab.open();
    const source = opened(lab, RESTS_MS, { records_per_s: 1e6, ring_bytes: RING_BYTES });
    const { from, to } = pipe();
    try {
      told(source);
      const connect = `: >/dev/tcp/${HOSTS[4].server}/3306`;
      const storm = `for ((i = 0; i < ${STORM}; i++)); do { ${connect}; } 2>/dev/null; done`;
      const args = [`--net=${lab.client.path}`, 'bash', '-c', storm];
      spawn('nsenter', args, { stdio: ['ignore', to, 'inherit'] });
      closeSync(to);
      expect(source.untilAsked(from, PATIENCE_MS)).toBe('asked');
      const bytes = source.tick(true);
      expect(bytes.length).toBeGreaterThan(RING_BYTES * availableParallelism());
      const events = eventsIn(bytes);
      const lost = events
        .flatMap(({ kind, body }) => (kind === 'tick' ? body.lost : []))
        .filter(({ name }) => name === 'records_lost');
      expect(resets(events).length + sum(lost.map(({ count }) => count))).toBe(STORM);
    } finally {
      source.close();
      closeSync(from);
    }
  },
  PATIENCE_MS,
);
