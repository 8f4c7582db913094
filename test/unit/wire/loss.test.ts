// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { Losses } from '../../../src/wire/loss.ts';

test('names that are not known are kept apart up to 64 of them, and all are counted', () => {
  const losses = new Losses();
  for (let i = 0; i < 100; i++) losses.add(`later_${i}`, 2);
  losses.add('x'.repeat(1000), 1);
  losses.add('later_3', 1);
  losses.add('records_lost', 5);
  const rows = losses.rows();
  expect(rows.length).toBe(66);
  expect(rows.find(({ name }) => name === 'later_3')?.count).toBe(3);
  expect(rows.find(({ name }) => name === 'losses_unknown')?.count).toBe(2 * 36 + 1);
  expect(rows.at(-1)).toMatchObject({ name: 'records_lost', severity: 'info', count: 5 });
});

test.each(['constructor', '__proto__', 'toString'])('%s is a name as others are', (name) => {
  const losses = new Losses();
  losses.add(name, 1);
  expect(losses.rows()).toEqual([
    { name, severity: 'warning', count: 1, meaning: 'not known to this version' },
  ]);
});
