// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { awaitReset, dial } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import type { Family } from '../../src/tcp/address.ts';
import { tcpwhy } from '../cli/run.ts';
import { Output, Running } from './tcpwhy.ts';

const { server } = HOSTS[4];
const { server: server6 } = HOSTS[6];

/** Refused connects to two ports of each family, in both directions of the cable. */
function refuse(lab: Lab): void {
  for (const address of [server, server6]) {
    for (const port of [23_306, 23_307])
      awaitReset(dial(lab, lab.client, { address, port }, 2), 'ECONNREFUSED');
  }
  awaitReset(dial(lab, lab.server, { address: HOSTS[4].client, port: 23_306 }, 2), 'ECONNREFUSED');
}

/** The machine may do other things. */
const refusedIn = ({ netnsInodes }: Lab, { findings }: Output) =>
  findings.filter(({ cause, flow }) => cause === 'no-listener' && netnsInodes.includes(flow.netns));

const dialled = (lab: Lab, output: Output) =>
  refusedIn(lab, output)
    .map(({ flow: { daddr, dport }, count }) => `${daddr} ${dport} × ${count}`)
    .sort();

async function reported(times: number, args: (lab: Lab) => string[]) {
  using lab = Lab.open();
  await using tcpwhy = await Running.start(['trace', ...args(lab)]);
  refuse(lab);
  const refused = (output: Output) =>
    refusedIn(lab, output).reduce((sum, { count }) => sum + count, 0);
  await tcpwhy.until((output) => refused(output) >= times);
  const output = await tcpwhy.stop();
  return { told: dialled(lab, output), summary: output.summary };
}

it('--port reports what has it at either end', async () => {
  const { told, summary } = await reported(4, () => ['--port', '23307']);
  expect(told).toEqual([`${server} 23307 × 2`, `${server6} 23307 × 2`]);
  expect(summary.counted.reset_sent).toBe(4);
});

it('a host and port as the target', async () => {
  const { told } = await reported(4, () => [`${server}:23306`]);
  expect(told).toEqual([`${server} 23306 × 2`, `${HOSTS[4].client} 23306 × 2`]);
});

it('an IPv6 host as the target', async () => {
  expect((await reported(4, () => [server6])).told).toEqual([
    `${server6} 23306 × 2`,
    `${server6} 23307 × 2`,
  ]);
});

it('any of several targets', async () => {
  const { told } = await reported(4, () => [
    `${server}:23307`,
    `[${server6}]:23306`,
    '10.255.0.0/16',
    '1',
  ]);
  expect(told).toEqual([`${server} 23307 × 2`, `${server6} 23306 × 2`]);
});

it('a network', async () => {
  const { told } = await reported(6, () => ['10.4.0.0/16']);
  expect(told).toEqual([
    `${server} 23306 × 2`,
    `${server} 23307 × 2`,
    `${HOSTS[4].client} 23306 × 2`,
  ]);
});

it('a network of IPv6', async () => {
  const { told } = await reported(4, () => [`${server6}/112`]);
  expect(told).toEqual([`${server6} 23306 × 2`, `${server6} 23307 × 2`]);
});

it('targets and --port have to match both', async () => {
  const { told } = await reported(4, () => [
    '0.0.0.0/0',
    server6,
    '--port',
    '23307',
    '--port',
    '1',
  ]);
  expect(told).toEqual([`${server} 23307 × 2`, `${server6} 23307 × 2`]);
});

it('as many targets as there is room for', async () => {
  const fillers = Array.from({ length: 15 }, (_, i) => `198.51.100.${i}`);
  const { told } = await reported(4, () => [...fillers, '23307']);
  expect(told).toEqual([`${server} 23307 × 2`, `${server6} 23307 × 2`]);
});

it('of a recording the same as while it is watched', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-filters-'));
  const file = join(folder, 'all.tcpwhy');
  using lab = Lab.open();
  const netns = ['--netns', String(lab.server.inode)];
  await using all = await Running.start(['record', '-o', file, ...netns]);
  const asked = ['23307', `[${server6}]:23306`];
  await using some = await Running.start(['trace', ...asked, ...netns]);
  refuse(lab);
  await all.until((output) => output.count('no-listener') >= 8);
  await some.until((output) => output.count('no-listener') >= 6);
  await all.stop();
  const live = await some.stop();
  const { stdout, status } = tcpwhy('replay', file, ...asked, '--json');
  const replayed = new Output();
  for (const line of stdout.trimEnd().split('\n')) replayed.add(line);
  expect(dialled(lab, replayed)).toEqual(dialled(lab, live));
  const { findings, unexplained, benign, lost, counted } = replayed.summary;
  expect(live.summary).toMatchObject({ findings, unexplained, benign, lost, counted });
  expect(findings).toEqual({ 'no-listener': 6 });
  expect(status).toBe(1);
  rmSync(folder, { recursive: true });
});

/** What is found of it where only this is asked for, live and of a recording of everything in that namespace. */
async function askedFor(id: string, family: Family, target: string, times: number) {
  const scenario = SCENARIOS.find((one) => one.id === id);
  if (!scenario) throw new Error(id);
  const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-filters-'));
  const file = join(folder, 'all.tcpwhy');
  using lab = Lab.open();
  const options = { times, family };
  scenario.prepare?.(lab, options);
  const netns = ['--netns', lab.client.name];
  await using all = await Running.start(['record', '-o', file, ...netns]);
  await using some = await Running.start(['trace', target, ...netns]);
  scenario.run(lab, options);
  await all.until((output) => output.count(scenario.cause) >= times);
  await some.until((output) => output.count(scenario.cause) >= times);
  await all.stop();
  const live = await some.stop();
  const replayed = new Output();
  for (const line of tcpwhy('replay', file, target, '--json').stdout.trimEnd().split('\n'))
    replayed.add(line);
  rmSync(folder, { recursive: true });
  expect(replayed.summary.findings).toEqual(live.summary.findings);
  return live.summary;
}

it.each([
  ['no-listener/redirected', 4, `${server}:443`],
  ['no-listener/redirected', 6, `[${server6}]:443`],
  ['synack-wrong-source', 4, HOSTS[4].vip],
  ['refused-from-elsewhere', 6, HOSTS[6].vip],
] as const)(
  '%s IPv%i is found by what was dialled, which no segment shows',
  async (id, family, target) => {
    const { findings } = await askedFor(id, family, target, 3);
    expect(findings).toMatchObject({ [id.replace(/\/.*/, '')]: 3 });
    expect(findings).not.toHaveProperty('connect-refused');
  },
);

it('what is dialled elsewhere is not asked for', async () => {
  using lab = Lab.open();
  const scenario = SCENARIOS.find(({ id }) => id === 'refused-from-elsewhere');
  if (!scenario) throw new Error('no such scenario');
  const options = { times: 3, family: 4 } as const;
  scenario.prepare?.(lab, options);
  const netns = ['--netns', lab.client.name];
  await using asked = await Running.start(['trace', HOSTS[4].vip, ...netns]);
  await using other = await Running.start(['trace', HOSTS[4].balancer, ...netns]);
  scenario.run(lab, options);
  expect(await asked.until((output) => output.count(scenario.cause) === 3)).toBe(true);
  expect((await other.stop()).summary.findings).toEqual({});
});

it('--netns reports what that namespace sees', async () => {
  const { told, summary } = await reported(2, ({ client }) => ['--netns', client.name]);
  expect(told).toEqual([`${HOSTS[4].client} 23306 × 2`]);
  expect(summary.findings).toEqual({ 'no-listener': 2, 'connect-refused': 8 });
});
