// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { endpoint, TCP_FLAG } from '../../src/causes/define.ts';
import { Lab } from '../../src/lab/lab.ts';
import { Stranger } from '../../src/lab/stranger.ts';
import { Running } from './tcpwhy.ts';

const TIMES = 7;
const PORT = 8443;
const SPORTS = Array.from({ length: TIMES }, (_, i) => 40_000 + i);

/** What SYNs to a closed port bring with them, and whom tcpwhy says they are for. */
const CASES = [
  { kind: 254, family: 4, address: '198.51.100.9', timestamps: true },
  { kind: 253, family: 4, address: '198.51.100.9', timestamps: false },
  { kind: 200, family: 4, address: '198.51.100.9', timestamps: true },
  { kind: 254, family: 6, address: '2001:db8::9', timestamps: true },
] as const;

it.each(CASES)(
  'a balancer’s option $kind tells whom a SYN is for, IPv$family, timestamps $timestamps',
  async ({ kind, family, address, timestamps }) => {
    await using tcpwhy = await Running.start();
    using lab = Lab.open();
    const balancer = new Stranger(lab, family);
    balancer.clock = timestamps ? 1000 : null;
    for (const sport of SPORTS) {
      const toa = { kind, address, port: sport + 1 };
      balancer.send({ sport, dport: PORT, flags: TCP_FLAG.syn, seq: 1, window: 65535, toa });
    }
    await tcpwhy.until((output) => output.count('no-listener') >= TIMES, 3000);
    const { findings } = await tcpwhy.stop();
    const here = findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
    expect(here).toHaveLength(1);
    const end = endpoint(address, (SPORTS.at(-1) ?? 0) + 1);
    expect(here[0]).toMatchObject({
      cause: 'no-listener',
      count: TIMES,
      evidence: { connects_for: `${end} (TCP option ${kind})` },
    });
  },
);

it.each([
  { of: 'without the option', toa: undefined },
  {
    of: 'whose option goes on where its header has ended',
    toa: { kind: 254, address: '198.51.100.9', port: 1, claims_bytes: 20 },
  },
])('a SYN $of says nothing of it', async ({ toa }) => {
  await using tcpwhy = await Running.start();
  using lab = Lab.open();
  const stranger = new Stranger(lab, 4);
  for (const sport of SPORTS)
    stranger.send({
      ...{ sport, dport: PORT, flags: TCP_FLAG.syn, seq: 1, window: 65535 },
      ...(toa && { toa }),
    });
  await tcpwhy.until((output) => output.count('no-listener') >= TIMES, 3000);
  const { findings } = await tcpwhy.stop();
  const here = findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
  expect(here).toHaveLength(1);
  expect(here[0]?.evidence).not.toHaveProperty('connects_for');
});
