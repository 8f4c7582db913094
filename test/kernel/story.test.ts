// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import type { Family } from '../../src/lab/wiring.ts';
import { Running } from './tcpwhy.ts';

const TIMES = 7;
/** A SYN, and once again. */
const SYNS = 2;

const stories = ['accept-queue-full', 'netfilter-drop'].flatMap((why) =>
  ([4, 6] as Family[]).map((family) => ({ why, family })),
);

it.each(stories)(
  'a connect that times out because of $why is one story, IPv$family',
  async ({ why, family }) => {
    const scenario = SCENARIOS.find(({ id }) => id === `connect-timeout/${why}`);
    if (!scenario) throw new Error(`no scenario connect-timeout/${why}`);
    await using tcpwhy = await Running.start();
    using lab = Lab.open();
    scenario.prepare?.(lab, { times: TIMES, family });
    const { server } = scenario.run(lab, { times: TIMES, family });
    await tcpwhy.until((output) => output.count('connect-timeout') >= TIMES, 3000);
    const output = await tcpwhy.stop();

    const here = output.findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
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
  },
);
