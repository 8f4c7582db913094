// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { awaitQueued, dial, listen } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { Program } from '../fleet/process.ts';
import { freePort } from '../software/free-port.ts';
import { TCPWHY } from './tcpwhy.ts';

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-agent-'));
afterAll(() => rmSync(folder, { recursive: true }));

const NOBODY = { OTEL_LOGS_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none' };

async function start(lab: Lab, dir: string, ...options: string[]): Promise<Program> {
  const args = ['agent', '--dir', dir, '--netns', String(lab.server.inode), ...options];
  const agent = new Program(TCPWHY, args, NOBODY);
  await agent.says(/watching/);
  return agent;
}

it('serves what it counts, to this host, as Prometheus reads it', async () => {
  using lab = Lab.open();
  const port = await freePort();
  await using agent = await start(lab, join(folder, 'a'), '--prometheus', String(port));
  const scenario = SCENARIOS.find(({ id }) => id === 'no-listener');
  scenario?.run(lab, { times: 4, family: 4 });
  const listener = listen(lab, 4, 61_000, 7);
  dial(lab, lab.client, { address: HOSTS[4].server, port: 61_000 }, 3);
  awaitQueued(listener, 3);
  const metrics = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  await expect
    .poll(metrics, { timeout: 20_000 })
    .toContain('\ntcpwhy_findings_total{tcpwhy_cause="no-listener"} 4\n');
  const text = await metrics();
  expect(text).toContain('\ntcpwhy_listener_accept_queue_usage{network_local_port="61000"} 3\n');
  expect(text).toContain('\ntcpwhy_listener_accept_queue_limit{network_local_port="61000"} 7\n');
  expect(text).toMatch(/\ntcpwhy_cause_observable\{tcpwhy_cause="no-listener"\} (0\.5|1)\n/);
  const other = await fetch(`http://127.0.0.1:${port}/`);
  expect(other.status).toBe(404);
  expect(await agent.stop('SIGTERM')).toBe(0);
});

it('keeps recordings that end well, and that only root may read', async () => {
  using lab = Lab.open();
  const dir = join(folder, 'b');
  await using agent = await start(lab, dir, '--max-age', '200ms');
  const parts = () => readdirSync(dir).filter((name) => name.endsWith('.zst'));
  await expect.poll(() => parts().length, { timeout: 20_000 }).toBeGreaterThan(3);
  expect(await agent.stop('SIGTERM')).toBe(0);
  expect(statSync(dir).mode & 0o777).toBe(0o700);
  for (const name of parts()) {
    const path = join(dir, name);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const { status, stderr } = spawnSync(TCPWHY, ['replay', path, '-q'], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
  }
});

it('has its directory for itself, while it runs', async () => {
  using lab = Lab.open();
  const dir = join(folder, 'c');
  const agent = await start(lab, dir);
  const { status, stderr } = spawnSync(TCPWHY, ['agent', '--dir', dir], {
    encoding: 'utf8',
    env: { ...process.env, ...NOBODY },
  });
  expect([status, stderr]).toEqual([2, expect.stringMatching(/^tcpwhy: another agent records /)]);
  await agent.stop('SIGKILL');
  await using next = await start(lab, dir);
  expect(await next.stop('SIGTERM')).toBe(0);
});

it('says where it cannot serve', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const args = ['agent', ':1', '--dir', join(folder, 'd'), '--prometheus', String(port)];
  const env = { ...process.env, ...NOBODY };
  const { status, stderr } = spawnSync(TCPWHY, args, { encoding: 'utf8', env });
  expect([status, stderr]).toEqual([
    2,
    expect.stringMatching(`^tcpwhy: --prometheus: .*EADDRINUSE.*sport = :${port}'`),
  ]);
  taken.close();
});
