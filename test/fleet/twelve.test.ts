// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { connect, hangUp, say } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { must } from '../../src/native/sockets.ts';
import { TCPWHY } from '../kernel/tcpwhy.ts';
import { freePort } from '../software/free-port.ts';
import { COLLECTOR, startCollector } from './collector.ts';
import { lacks, VICTORIA_LOGS } from './engines.ts';
import { Program } from './process.ts';
import { recordings } from './recordings.ts';
import { VictoriaLogs } from './victoria-logs.ts';

const LABS = 6;
const TIMES = 3;
const HEALTHY = 100;
const MADE = ['no-listener', 'unread-data-on-close', 'linger-zero-close', 'accept-queue-full'];
const DISK_BYTES = 4 << 20;

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-twelve-'));
const disk = join(folder, 'disk');
const filler = join(disk, 'filler');
afterAll(() => rmSync(folder, { recursive: true }));

interface Host {
  id: string;
  netns: number;
  state: string;
  agent: Program | null;
}

it('twelve hosts: what is in the engine is what was recorded, whatever is killed', async ({
  skip,
}) => {
  const lacking = lacks(VICTORIA_LOGS) ?? lacks(COLLECTOR);
  skip(lacking !== null, lacking ?? '');
  mkdirSync(disk);
  const labs = Array.from({ length: LABS }, () => Lab.open());
  const [clients, servers] = (['client', 'server'] as const).map((end) =>
    labs.map((lab, at): Host => {
      const id = `${end}-${at}`;
      const state = id === 'server-0' ? join(disk, 'state') : join(folder, id);
      return { id, netns: lab[end].inode, state, agent: null };
    }),
  ) as [Host[], Host[]];
  const hosts = [...clients, ...servers];
  const port = await freePort();
  await using engine = await VictoriaLogs.start();
  const collect = () =>
    startCollector(folder, port, 'victorialogs.yaml', { VICTORIALOGS: engine.address });
  let collector = await collect();
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tcpwhy-test', disk]);
  try {
    await watchAll();

    let rounds = await fail(0);
    await told(rounds);

    await collector.stop('SIGKILL');
    rounds = await fail(rounds);
    await wait(servers);
    collector = await collect();
    await told(rounds);

    await engine.stop();
    rounds = await fail(rounds);
    await wait(servers);
    await engine.start();
    await told(rounds);

    // What each agent has not told, and is killed with, is in its recording.
    await collector.stop('SIGKILL');
    rounds = await fail(rounds);
    await wait(servers);
    for (const host of hosts) await recorded(host, rounds);
    for (const host of hosts) await host.agent?.stop('SIGKILL');
    await watchAll();
    collector = await collect();
    await told(rounds);

    // What is told then is more than what is recorded.
    const full = servers.find(({ state }) => state.startsWith(disk));
    fill();
    rounds = await fail(rounds);
    await full?.agent?.says(/ENOSPC.*findings go on/);
    await told(rounds);
    rmSync(filler);
    rounds = await fail(rounds);
    await full?.agent?.says(/the recording is written again/);
    await told(rounds);

    for (const host of hosts) expect(await host.agent?.stop('SIGTERM')).toBe(0);
    const found = await engine.findings();
    for (const host of hosts.filter(({ state }) => !state.startsWith(disk))) {
      const { ids } = await recordings(host.state, host.id);
      const own = found.filter((row) => row['host.id'] === host.id);
      const counts = own.map((row) => [row['tcpwhy.finding.id'], Number(row['tcpwhy.count'])]);
      expect(ids.size).toBeGreaterThan(0);
      // No row twice, and none less: a Map would hide the first.
      expect(counts.sort()).toEqual([...ids].sort());
    }
    expect(new Set(found.map((row) => row['host.id'])).size).toBe(hosts.length);
  } finally {
    for (const { agent } of hosts) await agent?.[Symbol.asyncDispose]();
    await collector[Symbol.asyncDispose]();
    for (const lab of labs) lab.close();
    execFileSync('umount', [disk]);
  }

  /** One after the other: each has the kernel verify its programs. */
  async function watchAll(): Promise<void> {
    for (const host of hosts) {
      const args = ['agent', '--dir', host.state, '--interval', '1s', '--netns', `${host.netns}`];
      host.agent = new Program(TCPWHY, args, {
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
        OTEL_METRICS_EXPORTER: 'none',
        OTEL_RESOURCE_ATTRIBUTES: `host.id=${host.id},host.name=${host.id}`,
      });
      await host.agent.says(/watching/);
    }
  }

  /** Each of MADE so often at each server, and beside it connections to which nothing happens. */
  async function fail(rounds: number): Promise<number> {
    for (const lab of labs) {
      const pairs = connect(lab, { times: HEALTHY, family: 4 }, 8000 + rounds);
      say(
        pairs.map(({ client }) => client),
        'SELECT 1',
      );
      for (const id of MADE)
        SCENARIOS.find((one) => one.id === id)?.run(lab, { times: TIMES, family: 4 });
      for (const { server } of pairs) must(server.recv(), 'recv');
      hangUp(pairs);
    }
    return rounds + 1;
  }

  async function told(rounds: number): Promise<void> {
    const all = Object.fromEntries(hosts.map(({ id }) => [id, made(id, rounds)]));
    await expect
      .poll(async () => countedIn(await engine.findings()), { timeout: 120_000, interval: 500 })
      .toEqual(all);
  }
});

/** What is made at a host: a client hears of one of them at once. */
const causesAt = (id: string) => (id.startsWith('client') ? ['connect-refused'] : MADE);
const made = (id: string, rounds: number) =>
  Object.fromEntries(causesAt(id).map((cause) => [cause, rounds * TIMES]));

function countedIn(rows: Record<string, string>[]): Record<string, Record<string, number>> {
  const counted: Record<string, Record<string, number>> = {};
  for (const row of rows) {
    const [host, cause] = [row['host.id'] ?? '', row['tcpwhy.cause'] ?? ''];
    if (host.startsWith('client') && !causesAt(host).includes(cause)) continue;
    counted[host] ??= {};
    counted[host][cause] = (counted[host][cause] ?? 0) + Number(row['tcpwhy.count']);
  }
  return counted;
}

/** Each says again that what it finds waits. */
async function wait(hosts: readonly Host[]): Promise<void> {
  for (const { agent } of hosts) {
    await agent?.says(/findings wait in the recording/);
    if (agent) agent.stderr = '';
  }
}

async function recorded({ state, id }: Host, rounds: number): Promise<void> {
  await expect
    .poll(async () => Object.fromEntries((await recordings(state, id)).causes), {
      timeout: 60_000,
      interval: 300,
    })
    .toMatchObject(made(id, rounds));
}

function fill(): void {
  try {
    writeFileSync(filler, Buffer.alloc(2 * DISK_BYTES));
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
  }
  expect(existsSync(filler)).toBe(true);
}
