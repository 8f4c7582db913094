// SPDX-License-Identifier: Apache-2.0

import type { Key as InkKey } from 'ink';
import { expect, test } from 'vitest';
import { keysOf } from '../../../../src/sinks/tui/keys.ts';

const names = (input: string, key: Partial<InkKey> = {}) =>
  keysOf(input, key as InkKey).map((pressed) =>
    pressed.name === 'char' ? pressed.char : pressed.name,
  );

test('keys that have a name', () => {
  expect(names('', { upArrow: true })).toEqual(['up']);
  expect(names('', { pageDown: true })).toEqual(['pageDown']);
  expect(names('', { return: true })).toEqual(['enter']);
  expect(names('', { escape: true })).toEqual(['escape']);
  expect(names('', { delete: true })).toEqual(['backspace']);
});

test('several characters in one read are several keys', () => {
  expect(names('jjG')).toEqual(['j', 'j', 'G']);
  expect(names('my\r')).toEqual(['m', 'y', 'enter']);
  expect(names('x\x7f\x03')).toEqual(['x', 'backspace', 'interrupt']);
});

test('a character beyond the BMP is one key', () => {
  expect(names('😀')).toEqual(['😀']);
});

test('control keys', () => {
  expect(names('c', { ctrl: true })).toEqual(['interrupt']);
  expect(names('u', { ctrl: true })).toEqual(['clearLine']);
  expect(names('z', { ctrl: true })).toEqual([]);
  expect(names('\x01')).toEqual([]);
});

test('Esc and a key in one read', () => {
  expect(names('q', { meta: true })).toEqual(['escape', 'q']);
});

test('the release of a key is none', () => {
  expect(names('q', { eventType: 'release' })).toEqual([]);
});
