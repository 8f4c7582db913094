// SPDX-License-Identifier: Apache-2.0

import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Unseen } from '../../tools/vitest/unseen.ts';

let unseen: Unseen | null = null;
afterEach(() => unseen?.stop());

test('what the network stack does while a process is on a CPU is counted', async ({ skip }) => {
  unseen = Unseen.watch(process.pid);
  if (!unseen) return skip('needs a kernel that traces its events');
  const before = unseen.count();
  await refused();
  expect(unseen.count()).toBeGreaterThan(before);
});

test('what it does for others is not', async () => {
  unseen = Unseen.watch(2);
  const before = unseen?.count();
  await refused();
  expect(unseen?.count()).toBe(before);
});

function refused(): Promise<unknown> {
  return new Promise((resolve) => connect(9, '127.0.0.1').once('error', resolve));
}
