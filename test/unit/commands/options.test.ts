// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import {
  atLeast,
  filterFrom,
  parseDuration,
  parseSize,
  parseTarget,
  rotationFrom,
  UsageError,
} from '../../../src/commands/options.ts';

describe('targets', () => {
  test.each([
    ['3306', { host: null, port: 3306 }],
    [':3306', { host: null, port: 3306 }],
    ['10.0.0.5', { host: '10.0.0.5', port: null }],
    ['10.0.0.5:3306', { host: '10.0.0.5', port: 3306 }],
    ['[2001:db8::1]:443', { host: '2001:db8::1', port: 443 }],
    ['[2001:db8::1]', { host: '2001:db8::1', port: null }],
    ['2001:db8::1', { host: '2001:db8::1', port: null }],
  ])('%s', (text, expected) => {
    expect(parseTarget(text)).toEqual(expected);
  });

  test.each(['', 'db', '10.0.0', '10.0.0.5:', '10.0.0.5:0', '65536', '[10.0.0.5', 'db:3306'])(
    '%j is none',
    (text) => {
      expect(() => parseTarget(text)).toThrow(UsageError);
    },
  );

  test('a target and a flag join', () => {
    expect(filterFrom(['10.0.0.5'], { port: '80' })).toEqual({
      host: '10.0.0.5',
      port: 80,
      netns: null,
    });
    expect(filterFrom(['80'], { port: '80', netns: '4026531840' })).toEqual({
      host: null,
      port: 80,
      netns: 4026531840,
    });
  });

  test('two different ones contradict', () => {
    expect(() => filterFrom(['80', '81'], {})).toThrow(/one port/);
    expect(() => filterFrom(['10.0.0.5'], { host: '10.0.0.6' })).toThrow(/one host/);
  });
});

test.each([
  ['500ms', 500],
  ['30', 30_000],
  ['30s', 30_000],
  ['1.5m', 90_000],
  ['1h', 3_600_000],
])('%s lasts %i ms', (text, expected) => {
  expect(parseDuration(text)).toBe(expected);
});

test.each(['', '0', '-1s', '5 s', '1d', 's'])('%j is no duration', (text) => {
  expect(() => parseDuration(text)).toThrow(UsageError);
});

test('severities are ordered', () => {
  expect(atLeast('error', 'warning')).toBe(true);
  expect(atLeast('warning', 'warning')).toBe(true);
  expect(atLeast('info', 'warning')).toBe(false);
});

test.each([
  ['65536', 65_536],
  ['500K', 512_000],
  ['1.5m', 1_572_864],
  ['2GiB', 2_147_483_648],
])('%s is a size', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

describe('rotation', () => {
  const flags = { output: 'x', color: false, failOn: 'error' };

  test('is asked for by size, age or both, and keeps five files', () => {
    expect(rotationFrom(flags)).toBe(null);
    expect(rotationFrom({ ...flags, maxSize: '1M' })).toEqual({
      max_bytes: 1_048_576,
      max_age_ms: null,
      keep: 5,
    });
    expect(rotationFrom({ ...flags, maxAge: '1h', keep: '2' })).toEqual({
      max_bytes: null,
      max_age_ms: 3_600_000,
      keep: 2,
    });
  });

  test.each([
    [{ keep: '5' }, /needs --max-size/],
    [{ maxSize: '1M', output: undefined as unknown as string }, /need -o/],
    [{ maxSize: '1K' }, /at least 64K/],
    [{ maxSize: 'much' }, /no size/],
    [{ maxAge: '1h', keep: '0' }, /at least 1/],
    [{ maxAge: '1h', keep: 'all' }, /at least 1/],
  ])('%j is refused', (more, message) => {
    expect(() => rotationFrom({ ...flags, ...more })).toThrow(message);
  });
});
