// SPDX-License-Identifier: Apache-2.0

import { setTimeout as pause } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import { HealthyLoad, NEEDS } from '../software/healthy.ts';
import { lacking } from '../software/service.ts';
import { Running } from './tcpwhy.ts';

const LOAD_MS = 1000 * Number(process.env.SECONDS ?? 4);

it('says nothing of nginx that serves thousands of connections well', {
  timeout: 60_000 + LOAD_MS,
}, async ({ skip }) => {
  const missing = lacking(...NEEDS);
  skip(missing !== null, missing ?? '');
  using lab = Lab.open();
  await using tcpwhy = await Running.start(['trace', '--all']);
  await using load = await HealthyLoad.start(lab);
  await pause(LOAD_MS);
  const { opened, running } = load;
  const { findings, summary } = await tcpwhy.stop();
  expect(running).toBe(true);
  expect(opened).toBeGreaterThan(1000);
  const here = findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
  expect(here.filter(({ cause }) => cause !== 'benign')).toEqual([]);
  expect(summary.lost).toBe(0);
});
