// SPDX-License-Identifier: Apache-2.0

import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import { type Family, HOSTS } from '../../src/lab/wiring.ts';
import { Running } from './tcpwhy.ts';

const TIMES = 100_000;
const AT_ONCE = 1000;

/** One socket dials again and again, each time from another port. */
async function refuse(lab: Lab, family: Family, times: number): Promise<void> {
  using socket = lab.socket(lab.client, { family });
  for (let refused = 0, asked = 0; refused < times; asked++) {
    if (asked > 4 * times) throw new Error(`only ${refused} connects were refused`);
    const { error } = socket.connect(HOSTS[family].server, 3306);
    if (error === 'ECONNREFUSED') refused++;
    // So that what tcpwhy prints meanwhile is read.
    if (asked % AT_ONCE === 0) await setImmediate();
  }
}

it.each([4, 6] as const)('counts a storm of refused connects exactly, IPv%d', async (family) => {
  await using tcpwhy = await Running.start();
  using lab = Lab.open();
  const before = lab.server.counter('Tcp', 'OutRsts');
  await refuse(lab, family, TIMES);
  const resets = lab.server.counter('Tcp', 'OutRsts') - before;
  await tcpwhy.until((output) => output.count('no-listener') >= TIMES, 5000);
  const { summary, findings } = await tcpwhy.stop();
  expect(resets).toBe(TIMES);
  expect(summary.counted.reset_sent).toBe(resets);
  expect(summary.findings).toEqual({ 'no-listener': TIMES });
  expect(summary.unexplained).toBe(0);
  expect(findings.filter(({ cause }) => cause === 'no-listener')).toHaveLength(1);
});
