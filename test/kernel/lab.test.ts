// SPDX-License-Identifier: Apache-2.0

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { misfit } from '../schema.ts';
import { TCPWHY } from './tcpwhy.ts';

function lab(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(TCPWHY, ['lab', ...args], { encoding: 'utf8' });
  return { status, stderr, stdout, lines: stdout.trimEnd().split('\n') };
}

const namespacesOf = (pid: number) =>
  readdirSync('/run/netns').filter((name) => name.startsWith(`tcpwhy-${pid}-`));

it('shows what both ends see, and the verdict', () => {
  const { status, lines, stdout } = lab('accept-queue-full', '--times', '2');
  expect(stdout).toMatch(/c→s {2}client:\d+ > server:8080 \[S\] seq \d+ win/);
  expect(stdout).toMatch(/server LISTEN +recv-q 4 send-q 3 +10\.4\.26\.11:8080/);
  expect(stdout).toMatch(/ListenOverflows \+2/);
  expect(stdout).toMatch(/ E accept-queue-full\n {2}SYN from 10\.4\.26\.45 refused/);
  expect(lines.at(-1)).toBe(
    'ok    accept-queue-full IPv4: made 2 times, reported accept-queue-full 2',
  );
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
  expect(status).toBe(0);
});

it('a segment that only one end sees is shown as such', () => {
  const { stdout } = lab('connect-refused', '--family', '6');
  expect(stdout).toMatch(/·←s {2}server:\d+ > stranger:5432 \[S\]/);
  expect(stdout).toMatch(/c→s {2}stranger:5432 > server:\d+ \[RA\]/);
});

it('compares all that are given with what is reported', () => {
  const { status, lines } = lab('--all', '--json', '--times', '5', 'no-listener', 'rp-filter');
  const objects = lines.map((line) => JSON.parse(line));
  expect(objects.map(({ type }) => type)).toEqual([
    ...['start', 'result', 'result', 'result', 'score', 'score', 'conformance'],
  ]);
  expect(objects.at(-3)).toMatchObject({ cause: 'no-listener', expected: 10, reported: 10 });
  expect(objects.at(-1)).toMatchObject({ passed: 3, failed: 0, skipped: 0 });
  expect(objects.map(misfit).filter(Boolean)).toEqual([]);
  expect(status).toBe(0);
});

it('shows one to a machine too', () => {
  const objects = lab('no-listener', '--json').lines.map((line) => JSON.parse(line));
  expect(objects.map(misfit).filter(Boolean)).toEqual([]);
  expect(objects.map(({ type }) => type)).toEqual(['start', 'view', 'finding', 'result']);
});

it('doctor tells a machine what it tells a person', () => {
  const doctor = (...args: string[]) =>
    spawnSync(TCPWHY, ['doctor', ...args], { encoding: 'utf8' }).stdout;
  const told = JSON.parse(doctor('--json'));
  const text = doctor();
  expect(misfit(told)).toBe('');
  expect(told.hooks.length).toBeGreaterThan(0);
  for (const { fact, hook } of told.hooks)
    expect(text).toMatch(new RegExp(`^${hook === null ? 'NO ' : 'yes'}  ${fact} `, 'm'));
  for (const cause of told.not_observable) expect(text).toContain(cause);
});

it.each([
  ['SIGINT', 130],
  ['SIGTERM', 130],
  ['SIGKILL', null],
] as const)('leaves nothing behind after %s', async (signal, status) => {
  const child = spawn(TCPWHY, ['lab', '--all'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const pid = child.pid ?? 0;
  const exit = once(child, 'exit');
  await once(createInterface({ input: child.stdout }), 'line');
  await expect.poll(() => namespacesOf(pid).length, { timeout: 5000 }).toBeGreaterThan(0);
  child.kill(signal);
  expect((await exit)[0]).toBe(status);
  if (signal === 'SIGKILL') lab('no-listener');
  expect(namespacesOf(pid)).toEqual([]);
  expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(`/run/netns/tcpwhy-${pid}-`);
});

it('says what a plain user lacks', () => {
  const args = ['--reuid=65534', '--regid=65534', '--clear-groups', TCPWHY, 'lab'];
  const one = spawnSync('setpriv', [...args, 'no-listener'], { encoding: 'utf8' });
  expect(one.stderr).toMatch(/^tcpwhy: the lab makes network namespaces: run it as root/);
  expect(one.status).toBe(2);
  expect(spawnSync('setpriv', args, { encoding: 'utf8' }).stdout).toMatch(/^no-listener +clients/m);
});
