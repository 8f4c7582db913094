// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { TCPWHY } from '../kernel/tcpwhy.ts';
import { freePort } from '../software/free-port.ts';
import { COLLECTOR, startCollector } from './collector.ts';
import { KAFKA, lacks } from './engines.ts';
import { Kafka } from './kafka.ts';
import { Program } from './process.ts';
import { recordings } from './recordings.ts';

const TIMES = 3;
const HOST_ID = '00000000000000000000000000000018';
const MADE = ['no-listener', 'unread-data-on-close', 'linger-zero-close'];

it('what Kafka has is what was recorded, while its broker is killed', async ({ skip }) => {
  const lacking = lacks(KAFKA) ?? lacks(COLLECTOR);
  skip(lacking !== null, lacking ?? '');
  const state = mkdtempSync(join(tmpdir(), 'tcpwhy-kafka-state-'));
  using lab = Lab.open();
  await using kafka = await Kafka.start();
  const port = await freePort();
  await using _ = await startCollector(state, port, 'kafka.yaml', { KAFKA: kafka.address });
  const args = ['agent', '--dir', state, '--interval', '1s', '--netns', `${lab.server.inode}`];
  await using agent = new Program(TCPWHY, args, {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_METRIC_EXPORT_INTERVAL: '1000',
    OTEL_RESOURCE_ATTRIBUTES: `host.id=${HOST_ID}`,
  });
  await agent.says(/watching/);
  const fail = () => {
    for (const id of MADE)
      SCENARIOS.find((one) => one.id === id)?.run(lab, { times: TIMES, family: 4 });
  };
  const counts = (rounds: number) => MADE.map(() => rounds * TIMES);

  fail();
  const findings = kafka.read('tcpwhy_findings');
  const told = (rounds: number) =>
    expect
      .poll(() => sumOf(findings.findings.map(({ attributes }) => attributes)), {
        ...{ timeout: 60_000, interval: 200 },
      })
      .toEqual(counts(rounds));
  await told(1);

  await kafka.kill();
  fail();
  await agent.says(/findings wait in the recording/);
  await kafka.start();
  fail();
  await told(3);

  const metrics = kafka.read('tcpwhy_metrics');
  await expect
    .poll(() => metrics.metrics.get('tcpwhy.findings')?.length, { timeout: 60_000 })
    .toBe(MADE.length);
  expect(await agent.stop('SIGTERM')).toBe(0);
  const { ids } = await recordings(state, HOST_ID);
  expect(new Map([...findings.counts].sort())).toEqual(new Map([...ids].sort()));
  rmSync(state, { recursive: true });
});

/** Of each of MADE. */
function sumOf(told: readonly Record<string, unknown>[]): number[] {
  return MADE.map((cause) =>
    told
      .filter((one) => one['tcpwhy.cause'] === cause)
      .reduce((sum, one) => sum + Number(one['tcpwhy.count']), 0),
  );
}
