// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { awaitQueued, dial, listen } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { Program } from '../fleet/process.ts';
import { freePort } from '../software/free-port.ts';
import { statusOf } from './asking.ts';
import { attachedBy, stillThere } from './attached.ts';
import { BY_SUDO, CALLER } from './caller.ts';
import { readerOf, threadsOf } from './halves.ts';
import { TCPWHY } from './tcpwhy.ts';

const NOBODY = { OTEL_LOGS_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none' };
const NONE = '0'.repeat(16);

/** The caller's; what is beside it only root may read. */
const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-halves-'));
chownSync(folder, CALLER, CALLER);
const roots = mkdtempSync(join(tmpdir(), 'tcpwhy-roots-'));
afterAll(() => {
  for (const one of [folder, roots]) rmSync(one, { recursive: true });
});

async function began(args: string[], env: NodeJS.ProcessEnv = NOBODY): Promise<Program> {
  const agent = new Program(TCPWHY, ['agent', ...args], { ...env, ...BY_SUDO });
  await agent.says(/watching/);
  return agent;
}

function refusal(args: string[], env: NodeJS.ProcessEnv) {
  const { status, stderr } = spawnSync(TCPWHY, ['agent', ':1', ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...env, ...BY_SUDO },
  });
  return [status, stderr];
}

/** A collector that says which paths it was sent something at, and all of it. */
async function collector() {
  const got: { path: string; body: string }[] = [];
  const server = createServer(async (request, response) => {
    const chunks = await request.toArray();
    response.end();
    got.push({ path: request.url ?? '', body: Buffer.concat(chunks).toString() });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    got,
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

describe('the agent called by sudo', () => {
  it('only what reads the kernel stays root; the rest tells a collector, and keeps what is the caller’s', async () => {
    using lab = Lab.open();
    await using told = await collector();
    const dir = join(folder, 'a');
    const metrics = await freePort();
    await using agent = await began(
      ['--dir', dir, '--netns', `${lab.server.inode}`, '--interval', '1s'].concat(
        '--prometheus',
        `${metrics}`,
      ),
      {
        // By name: whoever asks for it may use no sockets but those of IP.
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://localhost:${told.port}`,
        OTEL_EXPORTER_OTLP_COMPRESSION: 'none',
        OTEL_METRIC_EXPORT_INTERVAL: '1000',
      },
    );
    const ids = Array(4).fill(CALLER).join('\t');
    for (const thread of threadsOf(agent.pid))
      expect(
        statusOf(thread, 'Uid', 'Gid', 'Groups', 'CapEff', 'CapPrm', 'NoNewPrivs', 'Seccomp'),
      ).toEqual([ids, ids, `${CALLER}`, NONE, NONE, '1', '2']);
    expect(statusOf(readerOf(agent.pid), 'Uid', 'NoNewPrivs', 'Seccomp')).toEqual([
      ...['0\t0\t0\t0', '1', '2'],
    ]);

    SCENARIOS.find(({ id }) => id === 'no-listener')?.run(lab, { times: 4, family: 4 });
    const listener = listen(lab, 4, 61_000, 7);
    dial(lab, lab.client, { address: HOSTS[4].server, port: 61_000 }, 3);
    awaitQueued(listener, 3);
    const paths = (has: string) =>
      told.got.flatMap(({ path, body }) => (body.includes(has) ? [path] : []));
    await expect.poll(() => paths('no-listener'), { timeout: 20_000 }).toContain('/v1/logs');
    const usage = 'tcpwhy.listener.accept_queue.usage';
    await expect.poll(() => paths(usage), { timeout: 20_000 }).toContain('/v1/metrics');
    const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
    expect(text).toContain('\ntcpwhy_listener_accept_queue_usage{network_local_port="61000"} 3\n');
    expect(text).toContain('\ntcpwhy_findings_total{tcpwhy_cause="no-listener"} 4\n');
    expect(await agent.stop('SIGTERM')).toBe(0);
    for (const name of readdirSync(dir))
      expect([name, statSync(join(dir, name)).uid]).toEqual([name, CALLER]);
  });

  it('reads and writes nothing that only root may', () => {
    const secret = join(roots, 'key.pem');
    writeFileSync(secret, 'secret', { mode: 0o600 });
    const https = {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://localhost',
      OTEL_EXPORTER_OTLP_CLIENT_KEY: secret,
    };
    expect(refusal(['--dir', join(folder, 'b')], https)).toEqual([
      2,
      expect.stringMatching(/^tcpwhy: OTEL_EXPORTER_OTLP_CLIENT_KEY=.*: EACCES/),
    ]);
    expect(refusal(['--dir', join(roots, 'x')], NOBODY)).toEqual([
      2,
      expect.stringMatching(new RegExp(`^tcpwhy: cannot write in .*, as user ${CALLER}: EACCES`)),
    ]);
  });

  it.each(['reader', 'front'])(
    'when its %s is killed the other ends, and nothing stays attached',
    async (half) => {
      const dir = join(folder, half);
      await using agent = await began([':1', '--dir', dir]);
      const reader = readerOf(agent.pid);
      const attached = attachedBy(reader);
      expect(attached.links.size).toBeGreaterThan(0);
      process.kill(half === 'reader' ? reader : agent.pid, 'SIGKILL');
      const status = await agent.ended();
      await expect.poll(() => stillThere(attached), { timeout: 5000 }).toEqual([]);
      if (half === 'reader') {
        expect(status).toBe(2);
        expect(agent.stderr).toMatch(/\ntcpwhy: the half of tcpwhy that reads the kernel is gone/);
      }
      // The directory is free, and the recording goes on.
      await using next = await began([':1', '--dir', dir]);
      expect(await next.stop('SIGTERM')).toBe(0);
    },
  );
});
