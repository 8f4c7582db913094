// SPDX-License-Identifier: Apache-2.0

import { expect, it } from 'vitest';
import { endpoint, TCP_FLAG } from '../../src/causes/define.ts';
import { Lab } from '../../src/lab/lab.ts';
import type { Toa } from '../../src/lab/segment.ts';
import { Stranger } from '../../src/lab/stranger.ts';
import { type Finding, Running } from './tcpwhy.ts';

const TIMES = 7;
const PORT = 8443;
const SPORTS = Array.from({ length: TIMES }, (_, i) => 40_000 + i);

const CLIENT = { 4: '198.51.100.9', 6: '2001:db8::9' } as const;
const VIP = '203.0.113.7';
/** Has no place in any list. */
const GIVEN = 211;

/** What SYNs to a closed port bring with them, and whom tcpwhy says they are for. */
const CASES = [
  { kind: 254, family: 4, timestamps: true },
  { kind: 253, family: 4, timestamps: false },
  { kind: 200, family: 4, timestamps: true },
  { kind: 28, family: 4, timestamps: true },
  { kind: GIVEN, family: 4, timestamps: true },
  { kind: 254, family: 6, timestamps: true },
  { kind: 253, family: 6, timestamps: false },
  { kind: 28, family: 6, timestamps: true },
  { kind: GIVEN, family: 6, timestamps: true },
] as const;

/** What tcpwhy tells of SYNs with these options, of which `port` comes from the port that each is from. */
async function toldOf(
  family: 4 | 6,
  toa: readonly (Omit<Toa, 'port'> & { port: boolean })[],
  timestamps = false,
): Promise<Finding> {
  await using tcpwhy = await Running.start(['--toa-kind', String(GIVEN)]);
  using lab = Lab.open();
  const balancer = new Stranger(lab, family);
  balancer.clock = timestamps ? 1000 : null;
  for (const sport of SPORTS)
    balancer.send({
      ...{ sport, dport: PORT, flags: TCP_FLAG.syn, seq: 1, window: 65535 },
      toa: toa.map((one) => ({ ...one, port: one.port ? sport + 1 : null })),
    });
  await tcpwhy.until((output) => output.count('no-listener') >= TIMES, 3000);
  const { findings } = await tcpwhy.stop();
  const here = findings.filter(({ flow }) => lab.netnsInodes.includes(flow.netns));
  expect(here).toHaveLength(1);
  expect(here[0]).toMatchObject({ cause: 'no-listener', count: TIMES });
  return here[0] as Finding;
}

const LAST_PORT = (SPORTS.at(-1) ?? 0) + 1;

it.each(CASES)(
  'a balancer’s option $kind tells whom a SYN is for, IPv$family, timestamps $timestamps',
  async ({ kind, family, timestamps }) => {
    const address = CLIENT[family];
    const port = kind !== 28;
    const { evidence } = await toldOf(family, [{ kind, address, port }], timestamps);
    const shown = port ? endpoint(address, LAST_PORT) : address;
    expect(evidence).toMatchObject({ connects_for: `${shown} (TCP option ${kind})` });
    expect(evidence).not.toHaveProperty('vip');
  },
);

it.each([
  { kinds: [254, 253], family: 4 },
  { kinds: [253, 254], family: 4 },
  { kinds: [254, 253], family: 6 },
  { kinds: [253, 254], family: 6 },
] as const)(
  'of $kinds one is the client, the other what it dialled, IPv$family',
  async ({ kinds, family }) => {
    const address = { 254: CLIENT[family], 253: VIP } as const;
    const toa = kinds.map((kind) => ({ kind, address: address[kind], port: true }));
    const { evidence } = await toldOf(family, toa);
    expect(evidence).toMatchObject({
      connects_for: `${endpoint(address[254], LAST_PORT)} (TCP option 254)`,
      vip: `${endpoint(VIP, LAST_PORT)} (TCP option 253)`,
    });
  },
);

it('a kind that was not given says nothing', async () => {
  const { evidence } = await toldOf(4, [{ kind: GIVEN + 1, address: CLIENT[4], port: true }]);
  expect(evidence).not.toHaveProperty('connects_for');
});

it('the user timeout option is not taken for a client', async () => {
  const toa = { kind: 28, address: CLIENT[4], port: true, claims_bytes: 4 };
  const { evidence } = await toldOf(4, [toa]);
  expect(evidence).not.toHaveProperty('connects_for');
});

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
