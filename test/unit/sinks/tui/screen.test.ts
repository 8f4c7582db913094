// SPDX-License-Identifier: Apache-2.0

import { Console } from 'node:console';
import type { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ScreenModel } from '../../../../src/sinks/tui/model.ts';
import { runScreen } from '../../../../src/sinks/tui/screen.tsx';
import { many, model } from './models.ts';
import { AS_FOUND, IN_USE, Terminal } from './terminal.ts';

// Ink redirects the console through a class that vitest's console lacks.
Object.assign(console, { Console });

// Ten seconds of a screen are a few hundred frames, on a machine that may be busy.
vi.setConfig({ testTimeout: 60_000 });

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
  });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Lets timers pass, and everything that waits for the event loop in between. */
async function pass(ms: number, step = 10) {
  for (let at = 0; at < ms; at += step) {
    await vi.advanceTimersByTimeAsync(Math.min(step, ms - at));
    await new Promise(setImmediate);
  }
}

function open(read: () => ScreenModel = () => model(), more: { signal?: AbortSignal } = {}) {
  const terminal = new Terminal();
  const { stdin, stdout } = terminal;
  const reading = vi.fn(read);
  const left = runScreen({ read: reading }, { color: false, stdin, stdout, ...more });
  left.catch(() => {});
  return { terminal, reading, left };
}

describe('the terminal is as it was found', () => {
  test.each([
    ['q', 'q', 'quit'],
    ['Ctrl-C', '\x03', 'interrupt'],
    ['Ctrl-C while a filter is typed', '/abc\x03', 'interrupt'],
    ['Esc, then q, in one read', '\x1bq', 'quit'],
  ])('after %s', async (_, keys, reason) => {
    const { terminal, left } = open();
    await pass(50);
    expect(terminal.state).toEqual(IN_USE);
    terminal.type(keys);
    await pass(50);
    expect(await left).toEqual({ reason });
    expect(terminal.state).toEqual(AS_FOUND);
  });

  test('after the signal from outside', async () => {
    const abort = new AbortController();
    const { terminal, left } = open(() => model(), { signal: abort.signal });
    await pass(50);
    abort.abort();
    expect(await left).toEqual({ reason: 'signal' });
    expect(terminal.state).toEqual(AS_FOUND);
  });

  test('after the source threw', async () => {
    let broken = false;
    const { terminal, left } = open(() => {
      if (broken) throw new Error('the source broke');
      return model();
    });
    await pass(50);
    broken = true;
    await pass(300);
    await expect(left).rejects.toThrow('the source broke');
    expect(terminal.state).toEqual(AS_FOUND);
  });

  test.each([0, 300])('after a view threw, %i ms from the start', async (after) => {
    const from = Date.now();
    const { terminal, left } = open(() =>
      model(Date.now() - from >= after ? { host: null as unknown as string } : {}),
    );
    await pass(after + 300);
    await expect(left).rejects.toThrow();
    expect(terminal.state).toEqual(AS_FOUND);
  });

  test('when the terminal goes away', async () => {
    const { terminal, left } = open();
    await pass(50);
    terminal.stdin.emit('end');
    expect(await left).toEqual({ reason: 'signal' });
    const written = open();
    await pass(50);
    written.terminal.stdout.emit('error', Object.assign(new Error('write EIO'), { code: 'EIO' }));
    expect(await written.left).toEqual({ reason: 'signal' });
  });

  test('nothing listens or reads any more', async () => {
    const { terminal, reading, left } = open();
    await pass(50);
    terminal.type('q');
    await pass(50);
    await left;
    const reads = reading.mock.calls.length;
    const { written } = terminal;
    await pass(2000, 200);
    expect(reading.mock.calls).toHaveLength(reads);
    expect(terminal.written).toBe(written);
    expect(terminal.stdout.listenerCount('resize')).toBe(0);
    expect(terminal.stdin.listenerCount('readable')).toBe(0);
  });
});

test('without a terminal there is no screen', async () => {
  const { stdin, stdout } = new Terminal();
  Object.assign(stdout, { isTTY: false });
  await expect(runScreen({ read: model }, { color: false, stdin, stdout })).rejects.toThrow(
    /terminal/,
  );
});

test('a signal that came before it opens no screen', async () => {
  const { terminal, left } = open(() => model(), { signal: AbortSignal.abort() });
  expect(await left).toEqual({ reason: 'signal' });
  expect(terminal.written).toBe('');
});

describe('redrawing', () => {
  test('is bounded, however often the model changes', async () => {
    let events = 0;
    const { terminal, reading } = open(() =>
      model({ events_per_s: ++events, findings: many(500) }),
    );
    await pass(100);
    const [frames, reads] = [terminal.frames, reading.mock.calls.length];
    for (let change = 0; change < 1000; change++) {
      events++;
      await pass(10);
    }
    expect(reading.mock.calls.length - reads).toBe(50);
    expect(terminal.frames - frames).toBeGreaterThan(40);
    expect(terminal.frames - frames).toBeLessThanOrEqual(100);
    terminal.type('q');
    await pass(50);
  });

  test('is bounded while a key is held, too', async () => {
    const { terminal, reading } = open(() => model({ findings: many(500) }));
    await pass(100);
    const [frames, reads] = [terminal.frames, reading.mock.calls.length];
    for (let i = 0; i < 90; i++) {
      terminal.type('j');
      await pass(33, 33);
    }
    expect(terminal.frames - frames).toBeLessThanOrEqual(90);
    expect(reading.mock.calls.length - reads).toBeLessThanOrEqual(31);
    terminal.type('q');
    await pass(50);
  });

  test('is once for keys that come at once', async () => {
    const { terminal } = open(() => model({ findings: many(500) }));
    await pass(300);
    const { frames } = terminal;
    terminal.type('j'.repeat(100));
    await pass(50);
    expect(terminal.frames - frames).toBe(1);
    terminal.type('q');
    await pass(50);
  });

  test('is of the rows that changed', async () => {
    let events_per_s = 5;
    const { terminal } = open(() => model({ events_per_s }));
    await pass(500);
    const { written } = terminal;
    events_per_s = 777;
    await pass(250);
    const since = terminal.written.slice(written.length);
    expect(since).toContain('777 events/s');
    // One place that the cursor was moved to, and one row.
    expect(since.split('\x1b[K')).toHaveLength(2);
    expect(since).toContain('\x1b[2H');
    terminal.type('q');
    await pass(50);
  });

  test('nothing is written while nothing changes', async () => {
    const { terminal } = open();
    await pass(500);
    const { written } = terminal;
    await pass(2000);
    expect(terminal.written).toBe(written);
    terminal.type('q');
    await pass(50);
  });

  test('nothing is worked out anew where the source has nothing new', async () => {
    const same = model();
    const asked = vi.spyOn(same, 'now_ns', 'get');
    const { terminal, reading } = open(() => same);
    await pass(500);
    const [times, reads] = [asked.mock.calls.length, reading.mock.calls.length];
    await pass(2000);
    expect(times).toBeGreaterThan(0);
    expect(reading.mock.calls.length - reads).toBe(10);
    expect(asked.mock.calls).toHaveLength(times);
    terminal.type('q');
    await pass(50);
  });

  test('a key brings fresh data at once', async () => {
    let events = 100;
    const { terminal } = open(() => model({ events, events_per_s: events }));
    await pass(310);
    events = 777;
    terminal.type('j');
    await pass(20);
    expect(terminal.written).toContain('777 events/s');
    terminal.type('q');
    await pass(50);
  });

  test('nothing is read while paused, and again when going on', async () => {
    const { terminal, reading } = open();
    await pass(100);
    terminal.type('p');
    await pass(150);
    const reads = reading.mock.calls.length;
    await pass(2000, 100);
    expect(reading.mock.calls.length).toBe(reads);
    expect(terminal.written).toContain('PAUSED');
    terminal.type('p');
    await pass(250);
    expect(reading.mock.calls.length).toBeGreaterThan(reads);
    terminal.type('q');
    await pass(50);
  });

  test('Ctrl-L draws all of it anew', async () => {
    const { terminal } = open();
    await pass(500);
    terminal.written = '';
    terminal.type('\x0c');
    await pass(150);
    expect(terminal.written).toContain('accept-queue-full');
    expect(terminal.written).toContain('q quit');
    terminal.type('q');
    await pass(50);
  });

  test('another size is drawn in that size', async () => {
    const { terminal } = open();
    await pass(300);
    for (const [columns, rows] of [
      [200, 50],
      [30, 5],
      [1, 1],
      [80, 24],
    ] as const) {
      terminal.resize(columns, rows);
      await pass(300);
    }
    terminal.written = '';
    terminal.resize(100, 30);
    await pass(300);
    expect(terminal.written).toContain('LAST 30 s');
    terminal.type('q');
    await pass(50);
    expect(terminal.state).toEqual(AS_FOUND);
  });

  test('a terminal that does not keep up gets what is newest, and nothing in between', async () => {
    let at = 0;
    const { terminal } = open(() => model({ findings: many(40), now_ns: ++at * 1e9 }));
    await pass(300);
    const { stdout } = terminal;
    stdout.pause();
    await pass(60_000, 100);
    const queued = stdout.writableLength + (stdout as unknown as PassThrough).readableLength;
    expect(queued).toBeLessThan(16_000);
    const newest = new Date(at * 1000).toISOString().slice(11, 19);
    terminal.written = '';
    stdout.resume();
    await pass(20);
    expect(terminal.written.includes(newest)).toBe(true);
    terminal.type('q');
    await pass(50);
    expect(terminal.state).toEqual(AS_FOUND);
  });

  test.each([
    ['its time', 'qq', 'q', 'quit'],
    ['Ctrl-C', 'q\x03', '', 'interrupt'],
  ])('a paste whose end never comes ends with %s', async (_, pasted, then, reason) => {
    const { terminal, left } = open();
    await pass(50);
    terminal.type('\x1b[200~');
    terminal.type(pasted);
    await pass(2000);
    terminal.type(then);
    await pass(50);
    expect(await left).toEqual({ reason });
    expect(terminal.state).toEqual(AS_FOUND);
  });

  test('a paste that comes slowly, in pieces cut anywhere, is one', async () => {
    const { terminal, left } = open();
    await pass(50);
    terminal.type('/');
    for (const piece of '\x1b[200~q\x1b[201~') {
      terminal.type(piece);
      await pass(10);
    }
    await pass(2000);
    expect(terminal.written).toContain('filter: q');
    terminal.type('\rq');
    await pass(50);
    expect(await left).toEqual({ reason: 'quit' });
  });

  test('pasted text fills the filter and presses no keys', async () => {
    const { terminal, left } = open();
    await pass(50);
    terminal.type('\x1b[200~qqq\x1b[201~');
    await pass(50);
    terminal.type('/\x1b[200~mysqld\x1b[201~');
    await pass(150);
    expect(terminal.written).toContain('filter: mysqld');
    terminal.type('\rq');
    await pass(50);
    expect(await left).toEqual({ reason: 'quit' });
  });
});
