// SPDX-License-Identifier: Apache-2.0

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BOTH } from '../../src/lab/scenario.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { Watched } from './watched.ts';

const TIMES = 7;
/** A SYN, and once again. */
const SYNS = 2;

const stories = ['accept-queue-full', 'netfilter-drop'];

let watched: Watched;
beforeAll(async () => {
  watched = await Watched.start();
});
afterAll(() => watched[Symbol.asyncDispose]());

describe.concurrent.for(BOTH)('a connect that times out is one story, IPv%d', (family) => {
  it.for(stories)('because of %s', { concurrent: false }, async (why) => {
    const scenario = SCENARIOS.find(({ id }) => id === `connect-timeout/${why}`);
    if (!scenario) throw new Error(`no scenario connect-timeout/${why}`);
    const lab = watched.lab();
    scenario.prepare?.(lab, { times: TIMES, family });
    const { server } = scenario.run(lab, { times: TIMES, family });
    const here = await watched.findings(lab, 'connect-timeout', TIMES);
    const at = server.address.includes(':') ? `[${server.address}]` : server.address;
    const where = `${at}:${server.port}`;
    const told = here.map(({ cause, because, severity, count, flow }) => ({
      ...{ cause, because, severity, count },
      netns: flow.netns,
    }));
    const first = why === 'accept-queue-full' ? 'error' : 'warning';
    expect(told.sort((a, b) => b.count - a.count)).toEqual([
      { cause: why, because: null, severity: first, count: SYNS * TIMES, netns: lab.server.inode },
      {
        cause: 'connect-timeout',
        because: { cause: why, where },
        severity: 'info',
        count: TIMES,
        netns: lab.client.inode,
      },
    ]);
    const later = here.find(({ cause }) => cause === 'connect-timeout');
    expect(later?.summary).toMatch(
      new RegExp(` did not answer 2 SYNs in 3(\\.\\d)? s, because of ${why} at `),
    );
  });
});
