// SPDX-License-Identifier: Apache-2.0

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

type AnyValue = {
  stringValue?: string;
  intValue?: string;
  doubleValue?: number;
  boolValue?: boolean;
  arrayValue?: { values?: AnyValue[] };
};
interface LogRecord {
  eventName: string;
  timeUnixNano: string;
  severityText: string;
  body: AnyValue;
  attributes: KeyValues;
}
type KeyValues = { key: string; value: AnyValue }[];

export interface Told {
  event: string;
  time_ns: bigint;
  body: string;
  severity: string;
  resource: Record<string, unknown>;
  attributes: Record<string, unknown>;
}

/** What came by OTLP. */
export class Received {
  readonly records: Told[] = [];
  /** Names of metrics that came, with their points as they were last told. */
  readonly metrics = new Map<string, { attributes: Record<string, unknown>; value: number }[]>();

  /** Of each finding the record with the newest time, as engines keep it; none where its count is 0. */
  get findings(): Told[] {
    const newest = new Map<string, Told>();
    for (const told of this.records) {
      const id = String(told.attributes['tcpwhy.finding.id']);
      const known = newest.get(id);
      // What was told twice is the same.
      if (!known || told.time_ns >= known.time_ns) newest.set(id, told);
    }
    return [...newest.values()].filter(({ attributes }) => attributes['tcpwhy.count'] !== 0);
  }

  get counts(): Map<string, number> {
    return new Map(
      this.findings.map(({ attributes }) => [
        String(attributes['tcpwhy.finding.id']),
        Number(attributes['tcpwhy.count']),
      ]),
    );
  }

  /** A request of OTLP, as JSON. */
  take(request: {
    resourceLogs?: {
      resource: { attributes: KeyValues };
      scopeLogs: { logRecords: LogRecord[] }[];
    }[];
    resourceMetrics?: {
      scopeMetrics: {
        metrics: Record<string, { dataPoints: { attributes: KeyValues }[] } | string>[];
      }[];
    }[];
  }): void {
    for (const { resource, scopeLogs } of request.resourceLogs ?? []) {
      for (const record of scopeLogs.flatMap(({ logRecords }) => logRecords))
        this.records.push({
          event: record.eventName,
          time_ns: BigInt(record.timeUnixNano),
          body: String(plainValue(record.body)),
          severity: record.severityText,
          resource: plain(resource.attributes),
          attributes: plain(record.attributes),
        });
    }
    for (const { scopeMetrics } of request.resourceMetrics ?? []) {
      for (const metric of scopeMetrics.flatMap(({ metrics }) => metrics)) {
        const { dataPoints } = (metric.sum ?? metric.gauge) as {
          dataPoints: { attributes?: KeyValues; asInt?: string; asDouble?: number }[];
        };
        this.metrics.set(
          String(metric.name),
          dataPoints.map(({ attributes = [], asInt, asDouble }) => ({
            attributes: plain(attributes),
            value: Number(asInt ?? asDouble),
          })),
        );
      }
    }
  }
}

/** Where the collector sends what it took, as JSON. */
export class Sink extends Received {
  readonly #server: Server;

  private constructor(server: Server) {
    super();
    this.#server = server;
  }

  static async open(): Promise<Sink> {
    const server = createServer();
    const sink = new Sink(server);
    server.on('request', async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      sink.take(JSON.parse(Buffer.concat(chunks).toString()));
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return sink;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

function plain(attributes: KeyValues): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, plainValue(value)]));
}

function plainValue(value: AnyValue): unknown {
  if (value.arrayValue) return (value.arrayValue.values ?? []).map(plainValue);
  if (value.intValue !== undefined) return Number(value.intValue);
  return value.stringValue ?? value.doubleValue ?? value.boolValue ?? null;
}
