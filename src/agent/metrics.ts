// SPDX-License-Identifier: Apache-2.0

import type { Finding } from '../diagnose/finding.ts';
import type { Pipeline } from '../diagnose/pipeline.ts';
import { BENIGN, UNEXPLAINED } from '../diagnose/unexplained.ts';
import type { AcceptQueue } from '../host/accept-queues.ts';
import { servedAtSource } from '../tcp/service.ts';
import type { Flow } from '../wire/types.gen.ts';
import type { ExportCounters } from './counters.ts';

export interface Point {
  attributes: Record<string, string | number | boolean>;
  value: number;
}

/** Plain data: OTLP and the text of Prometheus are made of the same. */
export interface Metric {
  name: string;
  /** Sums only grow while the agent runs. */
  kind: 'sum' | 'gauge';
  unit: string;
  description: string;
  points: Point[];
}

/** Ports that are told apart; the others are one. */
const MOST_PORTS = 64;
const PORT = 'network.local.port';
/** As OpenTelemetry says that it is about all that found no room. */
const OVERFLOW = { 'otel.metric.overflow': true };
const OTHERS = -1;

/** What was counted since the agent began: a fixed number of series, whatever strangers send. */
export class Metrics {
  readonly #found = new Map<string, Point>();
  readonly #unexplained = new Map<string, Point>();
  readonly #ports = new Set<number>();
  /** Where what each finding counts was counted, as long as there is the finding. */
  readonly #counted = new WeakMap<Finding, Map<number | null, number>>();
  readonly #highest = new Map<string, number>();

  /** Counts what a pipeline finds from here on. */
  watch(pipeline: Pipeline): void {
    pipeline.engine.onCount = (finding, flow, count) => {
      if (finding.cause === BENIGN.id) return;
      if (finding.cause === UNEXPLAINED.id) this.#addUnexplained(finding, count);
      const port = this.#portOf(flow, pipeline);
      for (const [at, part] of this.#where(finding, port, count)) this.#addFound(finding, at, part);
    };
  }

  /** `observable`: how exactly each cause can be seen here, from 0 to 1. */
  read(
    pipeline: Pipeline,
    observable: ReadonlyMap<string, number>,
    queues: readonly AcceptQueue[],
    exported: ExportCounters,
    behind: number,
  ): Metric[] {
    const lost = pipeline.losses.rows().map(({ name, count }) => ({
      attributes: { 'tcpwhy.loss': name },
      value: count,
    }));
    const seen = [...observable].map(([cause, value]) => ({
      attributes: { 'tcpwhy.cause': cause },
      value,
    }));
    const ports = this.#ofPorts(queues);
    return [
      this.#sum('tcpwhy.findings', '{occurrence}', FOUND, [...this.#found.values()]),
      this.#sum('tcpwhy.unexplained', '{occurrence}', REST, [...this.#unexplained.values()]),
      gauge(
        'tcpwhy.listener.accept_queue.usage',
        '{connection}',
        'Connections that wait for accept(), of the fullest listener at a port.',
        ports.map(({ attributes, usage }) => ({ attributes, value: usage })),
      ),
      gauge(
        'tcpwhy.listener.accept_queue.limit',
        '{connection}',
        'Connections that may wait for accept() at that listener.',
        ports.map(({ attributes, limit }) => ({ attributes, value: limit })),
      ),
      this.#sum('tcpwhy.events.lost', '{event}', LOST, lost),
      gauge('tcpwhy.cause.observable', '1', OBSERVABLE, seen),
      ...this.#ofExport(exported, behind),
    ];
  }

  #ofExport(exported: ExportCounters, behind: number): Metric[] {
    const records = { delivered: 0, rejected: 0, refused: 0 };
    const recordings = { overtaken: 0, unreadable: 0 };
    const points = (counts: object, name: string) =>
      Object.keys(counts).map((outcome) => ({
        attributes: { [name]: outcome },
        value: exported[outcome as keyof ExportCounters],
      }));
    return [
      this.#sum(
        'tcpwhy.export.records',
        '{record}',
        'Findings told, by what became of them: delivered, rejected by a collector, refused with their request.',
        points(records, 'tcpwhy.export.outcome'),
      ),
      this.#sum('tcpwhy.export.requests.failed', '{request}', 'Requests that failed, by signal.', [
        { attributes: { 'tcpwhy.export.signal': 'logs' }, value: exported.failed_requests },
        { attributes: { 'tcpwhy.export.signal': 'metrics' }, value: exported.failed_metrics },
      ]),
      this.#sum(
        'tcpwhy.export.recordings.lost',
        '{recording}',
        'Recordings that were deleted, or could not be read, before all in them was delivered.',
        points(recordings, 'tcpwhy.export.outcome'),
      ),
      gauge(
        'tcpwhy.export.recordings.behind',
        '{recording}',
        'Recordings that have ended, and wait to be delivered.',
        [{ attributes: {}, value: behind }],
      ),
    ];
  }

  #addUnexplained({ evidence }: Finding, count: number): void {
    const reason = String(evidence.reason);
    add(this.#unexplained, reason, { 'tcpwhy.reason': reason }, count);
  }

  #addFound({ cause }: Finding, port: number | null, count: number): void {
    const attributes = { 'tcpwhy.cause': cause, ...attributesOf(port) };
    add(this.#found, `${cause} ${port}`, attributes, count);
  }

  /** What is taken back, is so where it was counted: the host may not listen there any more, or only since then. */
  #where(finding: Finding, port: number | null, count: number): [number | null, number][] {
    const counted = this.#counted.get(finding) ?? new Map<number | null, number>();
    this.#counted.set(finding, counted);
    const parts = count < 0 ? takenFrom(counted, port, -count) : [[port, count] as const];
    for (const [at, part] of parts) counted.set(at, (counted.get(at) ?? 0) + part);
    return parts.map(([at, part]) => [at, part]);
  }

  /** Null: what was dialled is not of this host. */
  #portOf(flow: Flow | null, { known }: Pipeline): number | null {
    if (!flow) return OTHERS;
    const port = servedAtSource(flow) ? flow.sport : flow.dport;
    return known.listenersOnPort(port).length === 0 ? null : this.#apart(port);
  }

  /** The first ones keep their series. */
  #apart(port: number): number {
    if (this.#ports.size < MOST_PORTS) this.#ports.add(port);
    return this.#ports.has(port) ? port : OTHERS;
  }

  #ofPorts(queues: readonly AcceptQueue[]) {
    const fullest = new Map<number, AcceptQueue>();
    for (const queue of queues) {
      const port = this.#apart(queue.port);
      const known = fullest.get(port);
      if (!known || fill(queue) > fill(known)) fullest.set(port, queue);
    }
    return [...fullest].map(([port, { usage, limit }]) => {
      return { attributes: attributesOf(port), usage, limit };
    });
  }

  /** What was counted may be explained better, and taken back: a sum waits then until it has caught up. */
  #sum(name: string, unit: string, description: string, points: Point[]): Metric {
    const grown = points.map(({ attributes, value }) => {
      const series = `${name} ${JSON.stringify(attributes)}`;
      const highest = Math.max(value, this.#highest.get(series) ?? 0);
      this.#highest.set(series, highest);
      return { attributes, value: highest };
    });
    return { name, kind: 'sum', unit, description, points: grown };
  }
}

/** So many less: first there, then wherever there are any, and what is nowhere there. */
function takenFrom(
  counted: ReadonlyMap<number | null, number>,
  port: number | null,
  count: number,
): [number | null, number][] {
  const parts: [number | null, number][] = [];
  let left = count;
  for (const at of [port, ...[...counted.keys()].filter((one) => one !== port)]) {
    const part = Math.min(left, Math.max(0, counted.get(at) ?? 0));
    if (part > 0) parts.push([at, -part]);
    left -= part;
  }
  return left > 0 ? [...parts, [port, -left]] : parts;
}

const FOUND =
  'Occurrences of each cause, by the port of this host that was dialled where it listens there.';
const REST = 'Drops, refusals and resets that no cause accounts for, by the kernel’s reason.';
const LOST = 'What could not be recorded or counted apart, by name.';
const OBSERVABLE =
  'Whether a cause can be seen on this kernel: 1 yes, 0.5 by the second-best way, 0 not.';

function gauge(name: string, unit: string, description: string, points: Point[]): Metric {
  return { name, kind: 'gauge', unit, description, points };
}

function add(
  to: Map<string, Point>,
  series: string,
  attributes: Point['attributes'],
  count: number,
): void {
  const point = to.get(series);
  if (point) point.value += count;
  else to.set(series, { attributes, value: count });
}

function attributesOf(port: number | null): Point['attributes'] {
  if (port === null) return {};
  return port === OTHERS ? OVERFLOW : { [PORT]: port };
}

const fill = ({ usage, limit }: AcceptQueue) => usage / Math.max(1, limit);
