// SPDX-License-Identifier: Apache-2.0
//
// The units of tools/dist/systemd as systemd itself runs them, with everything that they restrict.

import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { run, whyNot } from './machine.ts';

const KERNEL = '6.1';
const LIMIT_S = 600;
/** CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF. */
const CAPABILITIES = '000000c000281000';
const NONE = '0'.repeat(16);

it('a plain user watches by the service that systemd runs, and so does the agent', async ({
  skip,
}) => {
  if (process.arch !== 'x64') skip('its kernel is of x86_64');
  skip(!existsSync('/lib/systemd/systemd'), 'no systemd');
  const lacking = whyNot(await run('packages')) ?? whyNot(await run('fetch', KERNEL));
  skip(lacking !== null, lacking ?? '');
  const machine = ['-k', KERNEL, '-c', '2', '-m', '2048', '-t', `${LIMIT_S}`];
  const { status, printed, said } = await run('run', ...machine, '--', 'tools/vm/service');
  expect(status, printed + said).toBe(0);
  const [socket, start = '', ...lines] = printed.trim().split('\n');
  const rest = lines.slice(0, 7);
  expect(socket).toBe('root tcpwhy 660');
  const { type, tier, hooks } = JSON.parse(start);
  expect([type, tier, hooks.symbols]).toEqual(['start', 'hooks', '/proc/kallsyms']);
  expect(rest.slice(0, -2).map((line) => line.split('\t')[1])).toEqual([
    ...[CAPABILITIES, CAPABILITIES, CAPABILITIES, '1', '2'],
  ]);
  expect(rest.at(-2)).toMatch(/tcpwhy@0-.*\.service$/);
  expect(JSON.parse(rest.at(-1) ?? '')).toMatchObject({ type: 'summary', lost: 0 });
  const [told, ...agent] = lines.slice(7);
  expect(told).toBe('/v1/logs no-listener');
  expect(agent.slice(0, 5).map((line) => line.split('\t')[1])).toEqual([
    ...[NONE, NONE, NONE, '1', '2'],
  ]);
  expect(agent[5]).toMatch(/tcpwhy-agent\.service$/);
  expect(agent.slice(6)).toEqual([
    'tcpwhy 700 /var/lib/tcpwhy',
    'tcpwhy 600 /var/lib/tcpwhy/agent.000001.tcpwhy.zst',
  ]);
});
