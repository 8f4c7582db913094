// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { jsonText, printable } from '../../../src/sinks/printable.ts';

const HOSTILE = { comm: 'a\u009b31m\u202eb\u{e0041}\ud800\n', plain: '×→’ äöü 漢' };

test('JSON has nothing that a terminal obeys or hides, and says the same', () => {
  const text = jsonText(HOSTILE);
  expect(text).toBe(printable(text));
  expect(text).toContain('a\\u009b31m\\u202eb\\udb40\\udc41\\ud800\\n');
  expect(JSON.parse(text)).toEqual(HOSTILE);
});
