// SPDX-License-Identifier: Apache-2.0

import { afterAll, beforeAll, expect, it } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import type { Toa } from '../../src/lab/segment.ts';
import { Stranger } from '../../src/lab/stranger.ts';
import { endpoint } from '../../src/tcp/endpoint.ts';
import { TCP_FLAG } from '../../src/tcp/flags.ts';
import { type Finding, type Output, Running } from './tcpwhy.ts';

const TIMES = 7;
const SPORTS = Array.from({ length: TIMES }, (_, i) => 40_000 + i);
const LAST_PORT = (SPORTS.at(-1) ?? 0) + 1;
const CLIENT = { 4: '198.51.100.9', 6: '2001:db8::9' } as const;
const VIP = { 4: '203.0.113.7', 6: '2001:db8::7' } as const;
/** Nobody uses it. */
const GIVEN = 211;

let tcpwhy: Running;
let lab: Lab;
let port = 8400;
beforeAll(async () => {
  tcpwhy = await Running.start(['--toa-kind', String(GIVEN)]);
  lab = Lab.open();
});
afterAll(async () => {
  await tcpwhy.stop();
  lab[Symbol.dispose]();
});

type Option = Omit<Toa, 'port'> & { port: boolean };

/** Evidence of SYNs to a closed port that have these options, of which a port follows from the SYN's own. */
async function evidenceOf(
  family: 4 | 6,
  toa: readonly Option[],
  timestamps = false,
): Promise<Finding['evidence']> {
  const dport = ++port;
  using balancer = new Stranger(lab, family);
  balancer.clock = timestamps ? 1000 : null;
  for (const sport of SPORTS)
    balancer.send({
      ...{ sport, dport, flags: TCP_FLAG.syn, seq: 1, window: 65535 },
      toa: toa.map((one) => ({ ...one, port: one.port ? sport + 1 : null })),
    });
  const found = ({ findings }: Output) =>
    findings.filter(
      ({ flow, where }) => lab.netnsInodes.includes(flow.netns) && where.endsWith(`:${dport}`),
    );
  const all = (output: Output) => found(output).reduce((sum, { count }) => sum + count, 0);
  await tcpwhy.until((output) => all(output) >= TIMES);
  const findings = found(tcpwhy.output);
  expect(findings.map(({ cause, count }) => [cause, count])).toEqual([['no-listener', TIMES]]);
  return findings[0]?.evidence ?? {};
}

it.each([
  { kind: 254, family: 4, timestamps: true },
  { kind: 253, family: 4, timestamps: false },
  { kind: 200, family: 4, timestamps: true },
  { kind: 28, family: 4, timestamps: true },
  { kind: GIVEN, family: 4, timestamps: true },
  { kind: 254, family: 6, timestamps: true },
  { kind: 253, family: 6, timestamps: false },
  { kind: 28, family: 6, timestamps: true },
  { kind: GIVEN, family: 6, timestamps: true },
] as const)(
  'a balancer’s option $kind tells whom a SYN is for, IPv$family, timestamps $timestamps',
  async ({ kind, family, timestamps }) => {
    const address = CLIENT[family];
    const port = kind !== 28;
    const evidence = await evidenceOf(family, [{ kind, address, port }], timestamps);
    const shown = port ? endpoint(address, LAST_PORT) : address;
    expect(evidence.connects_for).toBe(`${shown} (TCP option ${kind})`);
    expect(evidence).not.toHaveProperty('vip');
  },
);

it.each([
  { kinds: [254, 253], family: 4 },
  { kinds: [253, 254], family: 4 },
  { kinds: [28, 253], family: 4 },
  { kinds: [254, 253], family: 6 },
  { kinds: [253, 254], family: 6 },
] as const)(
  'of options $kinds one is the client, 253 what it dialled, IPv$family',
  async ({ kinds, family }) => {
    // Two options with IPv6 addresses are as many bytes as there is room for.
    const toa = kinds.map((kind) => ({
      ...{ kind, port: kind !== 28 },
      address: kind === 253 ? VIP[family] : CLIENT[family],
    }));
    const { connects_for, vip } = await evidenceOf(family, toa);
    expect(vip).toBe(`${endpoint(VIP[family], LAST_PORT)} (TCP option 253)`);
    expect(connects_for).toMatch(/ \(TCP option (254|28)\)$/);
    expect(connects_for).toContain(CLIENT[family]);
  },
);

it.each<{ of: string; toa: Option[] }>([
  { of: 'without the option', toa: [] },
  {
    of: 'whose option goes on where its header has ended',
    toa: [{ kind: 254, address: CLIENT[4], port: true, claims_bytes: 20 }],
  },
  {
    of: 'with an option of a kind that was not given',
    toa: [{ kind: GIVEN + 1, address: CLIENT[4], port: true }],
  },
  {
    of: 'with the option for the user timeout, which is of kind 28 too',
    toa: [{ kind: 28, address: CLIENT[4], port: true, claims_bytes: 4 }],
  },
])('a SYN $of says nothing of it', async ({ toa }) => {
  const evidence = await evidenceOf(4, toa);
  expect(evidence).not.toHaveProperty('connects_for');
  expect(evidence).not.toHaveProperty('vip');
});

it('a user timeout does not hide whom a SYN is for', async () => {
  const client = { kind: 254, address: CLIENT[4], port: true };
  const evidence = await evidenceOf(4, [client, { ...client, kind: 28, claims_bytes: 4 }]);
  expect(evidence.connects_for).toBe(`${CLIENT[4]}:${LAST_PORT} (TCP option 254)`);
});
