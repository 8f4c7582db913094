// SPDX-License-Identifier: Apache-2.0

import { PassThrough } from 'node:stream';
import { afterEach, expect, test, vi } from 'vitest';
import { Progress, progressText, saying } from '../../../src/app/progress.ts';

const MIB = 2 ** 20;

test.each([
  [256, 4, '[######··················]  25 %, 256 of 1024 MiB, 64 MiB/s, 12 s left'],
  [1024, 10, '[########################] 100 %, 1024 of 1024 MiB, 102 MiB/s'],
  [0.5, 1, '[························]   0 %, 1 of 1024 MiB, 1 MiB/s, 2047 s left'],
])('%d MiB in %d s', (read, seconds, text) => {
  expect(progressText(read * MIB, 1024 * MIB, seconds)).toBe(text);
  expect(text.length).toBeLessThan(80);
});

test('a size that is not known, as of a pipe', () => {
  expect(progressText(5 * MIB, 0, 1)).toBe('5 MiB, 5 MiB/s');
});

afterEach(() => {
  vi.useRealTimers();
});

/** What is written on a terminal so wide, or on no terminal, while 100 MiB are read in 10 s. */
function shown(terminal: { isTTY: boolean; columns?: number }): string[] {
  vi.useFakeTimers({ toFake: ['performance'] });
  const stream = Object.assign(new PassThrough({ encoding: 'utf8' }), terminal);
  const progress = new Progress(100 * MIB, stream as unknown as NodeJS.WriteStream);
  for (let read = 0; read < 100; read++) {
    vi.advanceTimersByTime(100);
    progress.advance(MIB);
  }
  progress.end();
  return String(stream.read() ?? '').split('\r\x1b[K');
}

test('is one line, shown five times a second, of which nothing stays', () => {
  const lines = shown({ isTTY: true, columns: 80 });
  expect(lines).toHaveLength(52);
  expect(lines[1]).toBe('[························]   2 %, 2 of 100 MiB, 10 MiB/s, 10 s left');
  expect(lines.at(-1)).toBe('');
});

test('makes room for what is said meanwhile', () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const stream = Object.assign(new PassThrough({ encoding: 'utf8' }), { isTTY: true, columns: 80 });
  const progress = new Progress(2 * MIB, stream as unknown as NodeJS.WriteStream);
  progress.say('before\n');
  vi.advanceTimersByTime(1000);
  progress.advance(MIB);
  progress.say('meanwhile\n');
  progress.end();
  expect(String(stream.read()).split('\r\x1b[K')).toEqual([
    'before\n',
    '[############············]  50 %, 1 of 2 MiB, 1 MiB/s, 1 s left',
    'meanwhile\n',
    '',
  ]);
});

test('fits a narrow terminal', () => {
  const lines = shown({ isTTY: true, columns: 40 });
  expect(lines).toHaveLength(52);
  expect(Math.max(...lines.map((line) => line.length))).toBe(39);
});

test('is not shown where there is no terminal', () => {
  expect(shown({ isTTY: false })).toEqual(['']);
});

test('what takes a moment is said on a terminal, and wiped when it fails too', () => {
  const said = (isTTY: boolean) => {
    const stream = Object.assign(new PassThrough({ encoding: 'utf8' }), { isTTY });
    const fail = () => {
      throw new Error('no');
    };
    const terminal = stream as unknown as NodeJS.WriteStream;
    expect(saying('working…', () => 7, terminal)).toBe(7);
    expect(() => saying('working…', fail, terminal)).toThrow('no');
    return stream.read();
  };
  expect(said(true)).toBe('working…\r\x1b[K'.repeat(2));
  expect(said(false)).toBeNull();
});
