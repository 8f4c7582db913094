// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { ExportCounters } from '../../../src/agent/counters.ts';
import { type Metric, Metrics } from '../../../src/agent/metrics.ts';
import { metricsRequest } from '../../../src/agent/otlp-metrics.ts';
import { prometheusText } from '../../../src/agent/prometheus.ts';
import { CAUSES } from '../../../src/causes/registry.gen.ts';
import { Pipeline } from '../../../src/diagnose/pipeline.ts';
import { headerWith, streamOf } from '../causes/fixture.ts';
import { HEADER, packetEvent, tick } from '../diagnose/events.ts';
import { all } from './otlp.ts';
import { FINDING, RESOURCES } from './records.ts';

const NOTHING = new ExportCounters();

/** So many drops, each from another port to one of its own, counted. */
function counted(...drops: { dport: number; times?: number }[]) {
  const pipeline = new Pipeline(headerWith(HEADER), CAUSES);
  const metrics = new Metrics();
  metrics.watch(pipeline);
  const events = drops.map(({ dport, times = 1 }, i) =>
    packetEvent('drop', { ms: i, sport: 40_000 + i, dport, occurrences: times }),
  );
  pipeline.push(streamOf([...events, tick(1000, [{ name: 'records_lost', count: '4' }])]));
  pipeline.finish();
  return { pipeline, metrics };
}

const pointsOf = (metrics: Metric[], name: string) =>
  metrics.find((one) => one.name === name)?.points;

test('what was found is counted by cause, and what was not by reason', () => {
  const { pipeline, metrics } = counted({ dport: 80, times: 3 }, { dport: 81 });
  const read = metrics.read(pipeline, new Map(), [], NOTHING, 0);
  expect(pointsOf(read, 'tcpwhy.findings')).toEqual([
    { attributes: { 'tcpwhy.cause': 'unexplained' }, value: 4 },
  ]);
  expect(pointsOf(read, 'tcpwhy.unexplained')).toEqual([
    { attributes: { 'tcpwhy.reason': 'ODD' }, value: 4 },
  ]);
  expect(pointsOf(read, 'tcpwhy.events.lost')).toEqual([
    { attributes: { 'tcpwhy.loss': 'records_lost' }, value: 4 },
  ]);
});

test('what is taken back, is so at the port where it was counted', () => {
  const metrics = new Metrics();
  const listening = new Set([80]);
  const engine = { onCount: (..._: unknown[]) => {} };
  const known = { listenersOnPort: (port: number) => (listening.has(port) ? [port] : []) };
  metrics.watch({ engine, known } as unknown as Pipeline);
  const flow = { saddr: '10.0.0.2', sport: 4000, daddr: '10.0.0.1', dport: 80, service: 0 };
  engine.onCount(FINDING, flow, 2, 0);
  listening.clear();
  engine.onCount(FINDING, flow, 1, 0);
  engine.onCount(FINDING, flow, -3, 0);
  listening.add(80);
  engine.onCount({ ...FINDING, cause: 'listener-closed' }, flow, 3, 0);
  const read = metrics.read(counted().pipeline, new Map(), [], NOTHING, 0);
  const cause = (cause: string, port: number[]) => ({
    'tcpwhy.cause': cause,
    ...Object.fromEntries(port.map((at) => ['network.local.port', at])),
  });
  expect(pointsOf(read, 'tcpwhy.findings')).toEqual([
    { attributes: cause('no-listener', [80]), value: 0 },
    { attributes: cause('no-listener', []), value: 0 },
    { attributes: cause('listener-closed', [80]), value: 3 },
  ]);
});

test('ports are told apart up to 64, and the others together', () => {
  const { pipeline, metrics } = counted();
  const queues = Array.from({ length: 70 }, (_, i) => ({ port: 1000 + i, usage: i % 8, limit: 8 }));
  const read = metrics.read(pipeline, new Map(), queues, NOTHING, 0);
  const usage = pointsOf(read, 'tcpwhy.listener.accept_queue.usage') ?? [];
  expect(usage).toHaveLength(65);
  expect(usage[3]).toEqual({ attributes: { 'network.local.port': 1003 }, value: 3 });
  // Of 1064 to 1069 the fullest.
  expect(usage[64]).toEqual({ attributes: { 'otel.metric.overflow': true }, value: 5 });
});

test('of several listeners at a port the fullest is told', () => {
  const { pipeline, metrics } = counted();
  const queues = [
    { port: 80, usage: 5, limit: 100 },
    { port: 80, usage: 4, limit: 5 },
    { port: 80, usage: 0, limit: 0 },
  ];
  const read = metrics.read(pipeline, new Map(), queues, NOTHING, 0);
  expect(pointsOf(read, 'tcpwhy.listener.accept_queue.usage')?.[0]?.value).toBe(4);
  expect(pointsOf(read, 'tcpwhy.listener.accept_queue.limit')?.[0]?.value).toBe(5);
});

test('a sum never falls, also where a count was taken back', () => {
  const { pipeline, metrics } = counted({ dport: 80 });
  const exported = new ExportCounters();
  const delivered = () =>
    pointsOf(metrics.read(pipeline, new Map(), [], exported, 0), 'tcpwhy.export.records')?.[0];
  exported.delivered = 5;
  expect(delivered()?.value).toBe(5);
  exported.delivered = 4;
  expect(delivered()?.value).toBe(5);
  exported.delivered = 6;
  expect(delivered()?.value).toBe(6);
});

test('the same as text for Prometheus', () => {
  const { pipeline, metrics } = counted({ dport: 80, times: 3 });
  const read = metrics.read(pipeline, new Map([['no-route', 0.5]]), [], NOTHING, 2);
  const lines = prometheusText(read).split('\n');
  expect(lines).toEqual(
    expect.arrayContaining([
      '# TYPE tcpwhy_findings_total counter',
      'tcpwhy_findings_total{tcpwhy_cause="unexplained"} 3',
      'tcpwhy_unexplained_total{tcpwhy_reason="ODD"} 3',
      '# TYPE tcpwhy_cause_observable gauge',
      'tcpwhy_cause_observable{tcpwhy_cause="no-route"} 0.5',
      'tcpwhy_export_recordings_behind 2',
    ]),
  );
  for (const line of lines.filter((one) => one !== '' && !one.startsWith('#')))
    expect(line).toMatch(/^[a-z_]+(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*\})? [0-9.]+$/);
});

test('what is in a label cannot end it', () => {
  const metric: Metric = {
    name: 'a.b',
    kind: 'gauge',
    unit: '1',
    description: 'x',
    points: [{ attributes: { 'c.d': 'e"f\\g\nh' }, value: 1 }],
  };
  expect(prometheusText([metric])).toContain('a_b{c_d="e\\"f\\\\g\\nh"} 1');
});

test('by OTLP metrics without points are left out', () => {
  const { pipeline, metrics } = counted({ dport: 80 });
  const read = metrics.read(pipeline, new Map([['no-route', 0.5]]), [], NOTHING, 0);
  const request = metricsRequest(read, RESOURCES.host, 0, 1e9);
  const names = all(request, 1)
    .flatMap((resource) => all(resource, 2))
    .flatMap((scope) => all(scope, 2))
    .map((metric) => Buffer.from(all(metric, 1)[0] ?? []).toString());
  expect(names).toEqual(read.filter(({ points }) => points.length > 0).map(({ name }) => name));
  expect(names).not.toContain('tcpwhy.listener.accept_queue.usage');
});
