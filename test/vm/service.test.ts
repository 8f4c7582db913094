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

it('a plain user watches by the service that systemd runs', async ({ skip }) => {
  if (process.arch !== 'x64') skip('its kernel is of x86_64');
  skip(!existsSync('/lib/systemd/systemd'), 'no systemd');
  const lacking = whyNot(await run('packages')) ?? whyNot(await run('fetch', KERNEL));
  skip(lacking !== null, lacking ?? '');
  const machine = ['-k', KERNEL, '-c', '2', '-m', '2048', '-t', `${LIMIT_S}`];
  const { status, printed, said } = await run('run', ...machine, '--', 'tools/vm/service');
  expect(status, printed + said).toBe(0);
  const [socket, start = '', ...rest] = printed.trim().split('\n');
  expect(socket).toBe('root tcpwhy 660');
  const { type, tier, hooks } = JSON.parse(start);
  expect([type, tier, hooks.symbols]).toEqual(['start', 'hooks', '/proc/kallsyms']);
  expect(rest.slice(0, -2).map((line) => line.split('\t')[1])).toEqual([
    ...[CAPABILITIES, CAPABILITIES, CAPABILITIES, '1', '2'],
  ]);
  expect(rest.at(-2)).toMatch(/tcpwhy@0-.*\.service$/);
  expect(JSON.parse(rest.at(-1) ?? '')).toMatchObject({ type: 'summary', lost: 0 });
});
