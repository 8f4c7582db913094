// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { RECORD, REPLAY, TRACE } from '../../../src/app/flags.ts';
import {
  atLeast,
  filesAndTargets,
  filterFrom,
  recordedFilterFrom,
  recordingFrom,
  rotationFrom,
} from '../../../src/app/options.ts';
import { parseDuration, parseSize, parseTarget } from '../../../src/app/parse.ts';
import { UsageError } from '../../../src/app/usage.ts';
import { given } from './given.ts';

const net = (address: string, bits = address.includes(':') ? 128 : 32) => ({ address, bits });

describe('targets', () => {
  test.each([
    ['3306', null, 3306],
    [':3306', null, 3306],
    ['10.0.0.5', net('10.0.0.5'), null],
    ['10.0.0.0/8', net('10.0.0.0', 8), null],
    ['0.0.0.0/0', net('0.0.0.0', 0), null],
    ['10.0.0.5:3306', net('10.0.0.5'), 3306],
    ['10.0.0.0/8:443', net('10.0.0.0', 8), 443],
    ['[2001:db8::1]:443', net('2001:db8::1'), 443],
    ['[2001:db8::/32]:443', net('2001:db8::', 32), 443],
    ['[2001:db8::1]', net('2001:db8::1'), null],
    ['2001:db8::1', net('2001:db8::1'), null],
    ['2001:db8::/32', net('2001:db8::', 32), null],
    ['::ffff:10.0.0.0/104', net('::ffff:10.0.0.0', 104), null],
  ])('%s', (text, net, port) => {
    expect(parseTarget(text)).toEqual({ net, port });
  });

  test.each([
    ...['', 'db', '10.0.0', '10.0.0.5:', '10.0.0.5:0', '65536', '[10.0.0.5', 'db:3306'],
    ...['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', '10.0.0.0/-1', '2001:db8::/129', 'fe80::1%lo'],
    ...['::/0', '::/80', '::/1'],
  ])('%j is none', (text) => {
    expect(() => parseTarget(text)).toThrow(UsageError);
  });

  test('any of the targets, and of each flag', () => {
    const port = (port: number) => ({ net: null, port });
    const host = (address: string, bits?: number) => ({ net: net(address, bits), port: null });
    const flags = given(TRACE, '--port', '80', '--host', '10.0.0.0/8', '--port', ':81');
    expect(filterFrom(['10.0.0.5', '3306'], flags)).toEqual({
      groups: [[host('10.0.0.5'), port(3306)], [host('10.0.0.0', 8)], [port(80), port(81)]],
      netns: null,
    });
    expect(filterFrom([], given(TRACE, '--port', '80', '--netns', '4026531840'))).toEqual({
      groups: [[port(80)]],
      netns: 4026531840,
    });
  });

  test('no more than there is room for', () => {
    const ports = (count: number) => Array.from({ length: count }, (_, i) => String(i + 1));
    expect(filterFrom(ports(16), given(TRACE)).groups[0]).toHaveLength(16);
    expect(() => filterFrom(ports(16), given(TRACE, '--port', '80'))).toThrow(
      /17 targets: at most 16/,
    );
  });

  test('of a recording know namespaces by number only', () => {
    expect(recordedFilterFrom([], given(REPLAY, '--netns', '4026531840')).netns).toBe(4026531840);
    expect(() => recordedFilterFrom([], given(REPLAY, '--netns', 'web'))).toThrow(/inode number/);
  });
});

describe('files and targets', () => {
  const here = import.meta.filename;

  test('are told apart', () => {
    expect(filesAndTargets([here, '3306', '10.0.0.0/8'])).toEqual({
      files: [here],
      targets: ['3306', '10.0.0.0/8'],
    });
  });

  test.each([
    [[here, 'x.tcpwhy'], /x\.tcpwhy is no file .*no target/],
    [['3306'], /no recording is given/],
  ])('%j is refused', (args, message) => {
    expect(() => filesAndTargets(args)).toThrow(message);
  });
});

describe('what a recording may be written to', () => {
  const here = import.meta.filename;

  test.each([
    [['-o', here], /exists: .*--force/],
    [['-o', '-'], /stdout has the findings/],
    [['-o', '/tmp'], /is a directory/],
    [['-o', '/dev/null', '--max-size', '1M'], /need files/],
    [['-o', 'x', '--max-size', '1M', '--force'], /each file gets a new name/],
    [['--force'], /--force needs -o FILE/],
    [['--no-host-name'], /--no-host-name needs -o FILE/],
  ])('%j is refused', (args, message) => {
    expect(() => recordingFrom(given(TRACE, ...args))).toThrow(message);
  });

  test.each([[['-o', here, '--force']], [['-o', '/dev/null']], [['-o', 'not-there']], [[]]])(
    '%j is not',
    (args) => {
      expect(recordingFrom(given(TRACE, ...args))).toBe(null);
    },
  );
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
  const rotation = (...args: string[]) => rotationFrom(given(RECORD, '-o', 'x', ...args));

  test('is asked for by size, age or both, and keeps five files', () => {
    expect(rotation()).toBe(null);
    expect(rotation('--max-size', '1M')).toEqual({
      max_bytes: 1_048_576,
      max_age_ms: null,
      keep: 5,
    });
    expect(rotation('--max-age', '1h', '--keep', '2')).toEqual({
      max_bytes: null,
      max_age_ms: 3_600_000,
      keep: 2,
    });
  });

  test.each([
    [['--keep', '5'], /--keep needs --max-size SIZE or --max-age DURATION/],
    [['--max-size', '1K'], /at least 64K/],
    [['--max-size', 'much'], /no size/],
    [['--max-age', '1h', '--keep', '0'], /at least 1/],
    [['--max-age', '1h', '--keep', 'all'], /at least 1/],
  ])('%j is refused', (args, message) => {
    expect(() => rotation(...args)).toThrow(message);
  });

  test('needs a file', () => {
    expect(() => given(TRACE, '--max-size', '1M')).toThrow(/--max-size needs -o FILE/);
  });
});
