// SPDX-License-Identifier: Apache-2.0

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import { rules } from '../../src/lab/nat.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { TCPWHY } from '../kernel/tcpwhy.ts';
import { freePort } from '../software/free-port.ts';
import { COLLECTOR, startCollector } from './collector.ts';
import { CHDB, clickHouse, insert, lacks, shipped } from './engines.ts';
import { Program } from './process.ts';
import { recordings } from './recordings.ts';
import { type Row, texts } from './rows.ts';
import { Sink, type Told } from './sink.ts';

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-fleet-'));
afterAll(() => rmSync(folder, { recursive: true }));

const TIMES = 5;
const HOST_ID = '00000000000000000000000000000017';
/** What the sink reads. */
const PLAIN = '{encoding: json, compression: none}';
const MADE = ['no-listener', 'unread-data-on-close', 'linger-zero-close', 'accept-queue-full'];

describe.skipIf(!existsSync(COLLECTOR))('with a collector (make fleet-test builds it)', () => {
  let lab: Lab;
  let sink: Sink;
  let port: number;
  let state: string;
  let running: Program[];
  beforeEach(async () => {
    lab = Lab.open();
    sink = await Sink.open();
    port = await freePort();
    state = mkdtempSync(join(folder, 'state-'));
    running = [];
  });
  afterEach(async () => {
    for (const program of running) await program[Symbol.asyncDispose]();
    sink.close();
    lab.close();
  });

  const collect = async () => {
    const collector = await startCollector(
      ...([state, port, 'victorialogs.yaml'] as const),
      { VICTORIALOGS: sink.url, METRICS: sink.url },
      `exporters: {otlp_http/findings: ${PLAIN}, otlp_http/metrics: ${PLAIN}}`,
    );
    running.push(collector);
    return collector;
  };
  const watch = (...options: string[]) =>
    watchAs(HOST_ID, state, '--netns', String(lab.server.inode), ...options);
  const watchAs = async (host_id: string, dir: string, ...options: string[]) => {
    const args = ['agent', '--dir', dir, '--interval', '1s'];
    const agent = new Program(TCPWHY, [...args, ...options], {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_METRIC_EXPORT_INTERVAL: '1000',
      OTEL_RESOURCE_ATTRIBUTES: `host.id=${host_id}`,
    });
    running.push(agent);
    await agent.says(/watching/);
    return agent;
  };
  /** Each of MADE so often. */
  const fail = () => {
    for (const id of MADE) {
      const scenario = SCENARIOS.find((one) => one.id === id);
      if (!scenario) throw new Error(id);
      scenario.run(lab, { times: TIMES, family: 4 });
    }
  };
  const told = (rounds: number) =>
    expect.poll(() => byCause(sink), { timeout: 60_000, interval: 100 }).toEqual(made(rounds));
  const recorded = (rounds: number) =>
    expect
      .poll(async () => sumOf((await recordings(state, HOST_ID)).causes), {
        timeout: 60_000,
        interval: 300,
      })
      .toEqual(made(rounds));

  it('tells what is recorded, whoever is killed meanwhile, and nothing else', async () => {
    let collector = await collect();
    let agent = await watch('--max-age', '2s');
    fail();
    await told(1);

    await collector.stop('SIGKILL');
    fail();
    await agent.says(/findings wait in the recording/);
    await recorded(2);
    await agent.stop('SIGKILL');

    agent = await watch('--max-age', '2s');
    fail();
    await agent.says(/findings wait in the recording/);
    collector = await collect();
    await told(3);

    fail();
    await recorded(4);
    await agent.stop('SIGKILL');
    agent = await watch('--max-age', '2s');
    fail();
    await told(5);
    fail();
    expect(await agent.stop('SIGTERM')).toBe(0);
    await collector.stop('SIGTERM');

    const { files, ids, causes } = await recordings(state, HOST_ID);
    // More than the three starts: it went on in others meanwhile.
    expect(files).toBeGreaterThan(4);
    expect(sumOf(causes)).toEqual(made(6));
    expect(new Map([...sink.counts].sort())).toEqual(new Map([...ids].sort()));
  });

  it('tells of a storm once an interval, and counts all of it, in one recording or in several', async () => {
    await collect();
    const agent = await watch('--max-age', '2s');
    const began = performance.now();
    const [scenario] = SCENARIOS.filter(({ id }) => id === 'no-listener');
    let times = 0;
    while (performance.now() - began < 5000) {
      scenario?.run(lab, { times: 50, family: 4 });
      times += 50;
      // It runs to its end without a pause, and the sink is in this process.
      await setImmediate();
    }
    const sum = () => [...sink.counts.values()].reduce((sum, count) => sum + count, 0);
    await expect.poll(sum, { timeout: 60_000, interval: 100 }).toBe(times);
    const seconds = (performance.now() - began) / 1000;
    expect(sink.counts.size).toBeGreaterThan(1);
    // And what was not told yet at the end of each recording.
    expect(sink.records.length).toBeLessThanOrEqual(seconds + sink.counts.size);
    expect(await agent.stop('SIGTERM')).toBe(0);
    const { ids } = await recordings(state, HOST_ID);
    expect(new Map([...sink.counts].sort())).toEqual(new Map([...ids].sort()));
  });

  it('tells records and metrics as docs/agent.md says', async () => {
    await collect();
    const agent = await watch();
    fail();
    await told(1);
    const port = (sink.records[0]?.attributes['network.local.port'] ?? 0) as number;
    expect(port).toBeGreaterThan(0);
    await expect
      .poll(() => sumOf(countedIn(sink, 'tcpwhy.findings')), { timeout: 20_000 })
      .toEqual(made(1));
    expect(await agent.stop('SIGTERM')).toBe(0);

    const page = readFileSync('docs/agent.md', 'utf8');
    const described = (name: string) =>
      page.includes(`\`${name}\``) || page.includes(`\`${name.replace(/\.[^.]+$/, '.NAME')}\``);
    for (const { event, resource, attributes } of sink.records) {
      expect(event).toBe('tcpwhy.finding');
      expect(resource).toMatchObject({ 'service.name': 'tcpwhy', 'host.id': HOST_ID });
      expect(Object.keys(attributes).filter((name) => !described(name))).toEqual([]);
    }
    expect([...sink.metrics.keys()].filter((name) => !described(name))).toEqual([]);
    for (const points of sink.metrics.values())
      for (const { attributes } of points)
        expect(Object.keys(attributes).filter((name) => !described(name))).toEqual([]);
  });

  it('tells from both ends what ClickHouse joins, translated or not', async ({ skip }) => {
    const lacking = lacks(CHDB);
    skip(lacking !== null, lacking ?? '');
    await collect();
    const ends = { client: lab.client.inode, server: lab.server.inode };
    const agents = Object.entries(ends).map(([host, netns]) =>
      watchAs(`id-of-${host}`, mkdtempSync(join(state, host)), '--netns', String(netns)),
    );
    await Promise.all(agents);
    const told = (cause: string) =>
      sink.findings.filter(({ attributes }) => attributes['tcpwhy.cause'] === cause);
    const [scenario] = SCENARIOS.filter(({ id }) => id === 'no-listener');
    const dial = async (findings: number) => {
      const made = scenario?.run(lab, { times: TIMES, family: 4 });
      await expect
        .poll(() => told('no-listener').length, { timeout: 60_000, interval: 100 })
        .toBe(findings);
      return made?.server?.port ?? 0;
    };
    const port = await dial(1);
    const translated = `tcp dport ${port} redirect to :${port + 1};`;
    rules(lab.server, 4, `chain there { type nat hook prerouting priority -100; ${translated} }`);
    await dial(2);
    for (const agent of agents) expect(await (await agent).stop('SIGTERM')).toBe(0);

    const [client] = told('connect-refused');
    const parameters = { finding: String(client?.attributes['tcpwhy.finding.id']) };
    const [, found = [], pairs = []] = clickHouse(
      insert(sink.records.map(rowOfTold)),
      { sql: shipped('clickhouse', 'one-incident.sql'), parameters },
      {
        sql: 'SELECT connection_keys FROM tcpwhy_both_ends WHERE finding_id = {finding:String}',
        parameters,
      },
    );
    expect(found.map(({ cause, count }) => `${cause} ${count}`).sort()).toEqual([
      `connect-refused ${2 * TIMES}`,
      `no-listener ${TIMES}`,
      `no-listener ${TIMES}`,
    ]);
    expect(pairs).toHaveLength(2);
    for (const { connection_keys } of pairs)
      for (const key of [/^isn \d+$/, new RegExp(`:${port} `)])
        expect(connection_keys).toContainEqual(expect.stringMatching(key));
  });
});

function rowOfTold({ time_ns, body, severity, resource, attributes }: Told): Row {
  return {
    ...{ time_ns: Number(time_ns), body, severity },
    ...{ resource: texts(resource), attributes: texts(attributes) },
  };
}

const made = (rounds: number) =>
  Object.fromEntries([...MADE].sort().map((cause) => [cause, rounds * TIMES]));

function sumOf(causes: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...causes].sort(([a], [b]) => a.localeCompare(b)));
}

/** Of what the sink was told, without what comes of it. */
function byCause(sink: Sink): Record<string, number> {
  const causes = new Map<string, number>();
  for (const { attributes } of sink.findings) {
    const cause = String(attributes['tcpwhy.cause']);
    causes.set(cause, (causes.get(cause) ?? 0) + Number(attributes['tcpwhy.count']));
  }
  return sumOf(causes);
}

/** Of a metric, by cause, as it was told last. */
function countedIn(sink: Sink, metric: string): Map<string, number> {
  const causes = new Map<string, number>();
  for (const { attributes, value } of sink.metrics.get(metric) ?? []) {
    const cause = String(attributes['tcpwhy.cause']);
    causes.set(cause, (causes.get(cause) ?? 0) + value);
  }
  return causes;
}
